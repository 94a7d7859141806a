//! Rust types to bytes.

use bytes::{Bytes, BytesMut};
use serde::ser::{self, Error as _, Serialize};

use super::SerdeError;
use crate::seri::pack::{PackError, Packer};

/// Initial capacity of [`to_bytes`] in bytes.
const CAPACITY_INITIAL: usize = 128;

/// Packs a Rust value as Lua values; see the [module](super) for the mapping.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, SerdeError> {
    let mut buffer = BytesMut::with_capacity(CAPACITY_INITIAL);
    let mut packer = Packer::new(&mut buffer);
    value.serialize(Serializer {
        packer: &mut packer,
        at_top: true,
    })?;
    Ok(buffer.freeze())
}

impl Packer<'_> {
    /// Appends a Rust value as one Lua value; see the [module](super) for the mapping.
    ///
    /// # Errors
    /// [`SerdeError`] when the value has no packed form; the buffer then holds a part of it.
    #[inline]
    pub fn serialize<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        value.serialize(Serializer::inner(self))
    }
}

/// Writes one value, or several at the top of the payload.
struct Serializer<'p, 'b> {
    packer: &'p mut Packer<'b>,
    at_top: bool,
}

impl<'p, 'b> Serializer<'p, 'b> {
    fn inner(packer: &'p mut Packer<'b>) -> Self {
        Self {
            packer,
            at_top: false,
        }
    }

    fn list(self, declared: usize, in_variant: bool) -> Result<ListSerializer<'p, 'b>, SerdeError> {
        let start = self.packer.mark();
        self.packer.table_start(declared)?;
        let items = self.packer.mark();
        let table = Some(ListTable {
            start,
            items,
            declared,
        });
        Ok(ListSerializer {
            packer: self.packer,
            table,
            written: 0,
            in_variant,
        })
    }

    fn tuple(self, length: usize) -> Result<ListSerializer<'p, 'b>, SerdeError> {
        if self.at_top {
            return Ok(ListSerializer {
                packer: self.packer,
                table: None,
                written: 0,
                in_variant: false,
            });
        }
        self.list(length, false)
    }

    fn map(self, in_variant: bool) -> Result<MapSerializer<'p, 'b>, SerdeError> {
        self.packer.table_start(0)?;
        Ok(MapSerializer {
            packer: self.packer,
            key: None,
            in_variant,
        })
    }

    /// Opens the table around the data of a variant and writes its name.
    fn variant(&mut self, name: &str) -> Result<(), PackError> {
        self.packer.table_start(0)?;
        self.packer.string(name.as_bytes())
    }
}

impl<'p, 'b> ser::Serializer for Serializer<'p, 'b> {
    type Ok = ();
    type Error = SerdeError;
    type SerializeSeq = ListSerializer<'p, 'b>;
    type SerializeTuple = ListSerializer<'p, 'b>;
    type SerializeTupleStruct = ListSerializer<'p, 'b>;
    type SerializeTupleVariant = ListSerializer<'p, 'b>;
    type SerializeMap = MapSerializer<'p, 'b>;
    type SerializeStruct = MapSerializer<'p, 'b>;
    type SerializeStructVariant = MapSerializer<'p, 'b>;

    fn serialize_bool(self, value: bool) -> Result<(), SerdeError> {
        Ok(self.packer.boolean(value)?)
    }

    fn serialize_i8(self, value: i8) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<(), SerdeError> {
        Ok(self.packer.integer(value)?)
    }

    fn serialize_u8(self, value: u8) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<(), SerdeError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), SerdeError> {
        let value = i64::try_from(value).map_err(|_| PackError::IntegerOutOfRange { value })?;
        self.serialize_i64(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), SerdeError> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), SerdeError> {
        Ok(self.packer.number(value)?)
    }

    fn serialize_char(self, value: char) -> Result<(), SerdeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), SerdeError> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), SerdeError> {
        Ok(self.packer.string(value)?)
    }

    fn serialize_none(self) -> Result<(), SerdeError> {
        Ok(self.packer.nil()?)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SerdeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), SerdeError> {
        if self.at_top {
            Ok(())
        } else {
            self.serialize_none()
        }
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), SerdeError> {
        self.serialize_none()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), SerdeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        let start = self.packer.mark();
        self.variant(variant)?;
        let data = self.packer.mark();
        value.serialize(Serializer::inner(self.packer))?;
        if self.packer.is_nil_since(data) {
            self.packer.abandon_table(start);
            return self.serialize_str(variant);
        }
        self.packer.table_end();
        Ok(())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, SerdeError> {
        self.list(length.unwrap_or(0), false)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, SerdeError> {
        self.tuple(length)
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, SerdeError> {
        self.tuple(length)
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, SerdeError> {
        self.variant(variant)?;
        self.list(length, true)
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, SerdeError> {
        self.map(false)
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStruct, SerdeError> {
        self.map(false)
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, SerdeError> {
        self.variant(variant)?;
        self.map(true)
    }
}

/// Writes the items of a list, or values in sequence where there is no table.
struct ListSerializer<'p, 'b> {
    packer: &'p mut Packer<'b>,
    table: Option<ListTable>,
    written: usize,
    /// Whether the list is the data of a variant, so that another table must be closed after it.
    in_variant: bool,
}

/// The position of an open table in the buffer, in case its length must be corrected.
struct ListTable {
    start: usize,
    items: usize,
    declared: usize,
}

impl ListSerializer<'_, '_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.written += 1;
        value.serialize(Serializer::inner(self.packer))
    }

    fn finish(self) -> Result<(), SerdeError> {
        let Some(table) = self.table else { return Ok(()) };
        // A sequence need not announce its length, and may announce a wrong one.
        if self.written != table.declared {
            self.packer
                .rewrite_array_length(table.start, table.items, self.written)?;
        }
        self.packer.table_end();
        if self.in_variant {
            self.packer.table_end();
        }
        Ok(())
    }
}

impl ser::SerializeSeq for ListSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

impl ser::SerializeTuple for ListSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for ListSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for ListSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

/// Writes the keys and values of a table.
struct MapSerializer<'p, 'b> {
    packer: &'p mut Packer<'b>,
    /// The position of the key whose value comes next.
    key: Option<usize>,
    /// Whether the table is the data of a variant, so that another one must be closed after it.
    in_variant: bool,
}

impl MapSerializer<'_, '_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        let mark = self.packer.mark();
        key.serialize(Serializer::inner(self.packer))?;
        self.packer.check_key(mark)?;
        self.key = Some(mark);
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let key = self
            .key
            .take()
            .ok_or_else(|| SerdeError::custom("a map gives a value before its key"))?;
        let mark = self.packer.mark();
        value.serialize(Serializer::inner(self.packer))?;
        self.packer.drop_entry_if_nil(key, mark);
        Ok(())
    }

    fn finish(self) -> Result<(), SerdeError> {
        if self.key.is_some() {
            return Err(SerdeError::custom("a map ends with a key that has no value"));
        }
        self.packer.table_end();
        if self.in_variant {
            self.packer.table_end();
        }
        Ok(())
    }
}

impl ser::SerializeMap for MapSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

impl ser::SerializeStruct for MapSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        self.key(name)?;
        self.value(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for MapSerializer<'_, '_> {
    type Ok = ();
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        self.key(name)?;
        self.value(value)
    }

    fn end(self) -> Result<(), SerdeError> {
        self.finish()
    }
}
