//! The deserializer that tells what a type asks for; see [`shape`](super::shape).

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Visitor};

use super::shape::{Found, Part, Path, Reading, Shape};

/// Reads one type once.
pub(super) struct Probe<'r> {
    reading: &'r Reading,
    found: &'r mut Found,
    path: Path,
    /// The structs and enums around this place.
    around: Vec<&'static str>,
}

/// Why a reading ended.
#[derive(Debug)]
pub(super) enum ProbeError {
    /// The type cannot be read without a field.
    MissingField,
    /// It refuses a value of the probe, or the probe does not go on.
    Refused,
}

impl ProbeError {
    pub(super) fn is_of_missing_field(&self) -> bool {
        matches!(self, ProbeError::MissingField)
    }
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the probe was refused")
    }
}

impl std::error::Error for ProbeError {}

impl de::Error for ProbeError {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        ProbeError::Refused
    }

    fn missing_field(_field: &'static str) -> Self {
        ProbeError::MissingField
    }
}

impl<'r> Probe<'r> {
    pub(super) fn new(reading: &'r Reading, found: &'r mut Found) -> Probe<'r> {
        Probe {
            reading,
            found,
            path: Path::new(),
            around: Vec::new(),
        }
    }

    fn record(&mut self, part: Part) {
        self.found.record(self.reading, &self.path, part);
    }

    fn leaf(&mut self, shape: Shape) {
        self.record(Part::Leaf(shape));
    }

    fn integer(&mut self, min: i64, max: i64) {
        self.leaf(Shape::Integer { min, max });
    }

    /// The alternative of this part that the reading takes.
    fn alternative(&self) -> usize {
        self.reading.alternatives.get(&self.path).copied().unwrap_or(0)
    }

    fn step(&mut self, step: usize) -> Probe<'_> {
        let mut path = self.path.clone();
        path.push(step);
        Probe {
            reading: self.reading,
            found: self.found,
            path,
            around: self.around.clone(),
        }
    }

    /// Goes into a struct or an enum, unless it is inside itself.
    fn enter(&mut self, name: &'static str) -> Result<(), ProbeError> {
        if self.around.contains(&name) {
            self.leaf(Shape::Named(name.to_owned()));
            return Err(ProbeError::Refused);
        }
        self.around.push(name);
        Ok(())
    }

    fn items<'de, V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, ProbeError> {
        self.record(Part::Tuple(length));
        visitor.visit_seq(Items {
            probe: self,
            next: 0,
            length,
        })
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        visitor.visit_map(Fields {
            probe: self,
            fields,
            next: 0,
        })
    }
}

macro_rules! integers {
    ($($method:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
            self.integer(i64::from(<$type>::MIN), i64::from(<$type>::MAX));
            // Not zero, because some types refuse that.
            visitor.visit_u8(1)
        }
    )*};
}

macro_rules! leaves {
    ($($method:ident $shape:expr, $visit:ident($($value:expr)?);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
            self.leaf($shape);
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = ProbeError;

    integers! {
        deserialize_i8 i8;
        deserialize_i16 i16;
        deserialize_i32 i32;
        deserialize_i64 i64;
        deserialize_u8 u8;
        deserialize_u16 u16;
        deserialize_u32 u32;
    }

    leaves! {
        deserialize_any Shape::Any, visit_unit();
        deserialize_ignored_any Shape::Any, visit_unit();
        deserialize_bool Shape::Boolean, visit_bool(false);
        deserialize_u64 Shape::Integer { min: 0, max: i64::MAX }, visit_u8(1);
        deserialize_f32 Shape::Number, visit_f32(1.0);
        deserialize_f64 Shape::Number, visit_f64(1.0);
        deserialize_char Shape::Text, visit_char('a');
        deserialize_str Shape::Text, visit_borrowed_str("");
        deserialize_string Shape::Text, visit_borrowed_str("");
        deserialize_identifier Shape::Text, visit_borrowed_str("");
        deserialize_bytes Shape::Bytes, visit_borrowed_bytes(b"");
        deserialize_byte_buf Shape::Bytes, visit_borrowed_bytes(b"");
        deserialize_unit Shape::Nil, visit_unit();
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
        self.record(Part::Option);
        match self.alternative() {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self.step(0)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
        self.record(Part::List);
        let length = self.alternative();
        visitor.visit_seq(Items {
            probe: self,
            next: 0,
            length,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ProbeError> {
        self.items(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.items(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
        self.record(Part::Map);
        let is_empty = self.alternative() == 0;
        visitor.visit_map(Entry {
            probe: self,
            has_ended: is_empty,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.enter(name)?;
        self.record(Part::Struct(name, fields));
        self.fields(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.enter(name)?;
        self.record(Part::Enum(name, variants));
        let alternative = self.alternative();
        let Some(variant) = variants.get(alternative) else {
            return Err(ProbeError::Refused);
        };
        visitor.visit_enum(Alternative {
            probe: self.step(alternative),
            variant,
        })
    }
}

/// Offers the items of a list or a tuple.
struct Items<'r> {
    probe: Probe<'r>,
    next: usize,
    length: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ProbeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ProbeError> {
        if self.next == self.length {
            return Ok(None);
        }
        let step = self.next;
        self.next += 1;
        seed.deserialize(self.probe.step(step)).map(Some)
    }
}

/// Offers the fields of a struct but the omitted one.
struct Fields<'r> {
    probe: Probe<'r>,
    fields: &'static [&'static str],
    next: usize,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = ProbeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProbeError> {
        if let Some((path, field)) = &self.probe.reading.omitted
            && *path == self.probe.path
            && *field == self.next
        {
            self.next += 1;
        }
        let Some(name) = self.fields.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProbeError> {
        let step = self.next.saturating_sub(1);
        seed.deserialize(self.probe.step(step))
    }
}

/// Offers one entry of a map.
struct Entry<'r> {
    probe: Probe<'r>,
    has_ended: bool,
}

impl<'de> de::MapAccess<'de> for Entry<'_> {
    type Error = ProbeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProbeError> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(None);
        }
        seed.deserialize(self.probe.step(0)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProbeError> {
        seed.deserialize(self.probe.step(1))
    }
}

/// Offers one variant of an enum.
struct Alternative<'r> {
    probe: Probe<'r>,
    variant: &'static str,
}

impl<'de, 'r> de::EnumAccess<'de> for Alternative<'r> {
    type Error = ProbeError;
    type Variant = Probe<'r>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'r>), ProbeError> {
        let variant = seed.deserialize(StrDeserializer::<ProbeError>::new(self.variant))?;
        Ok((variant, self.probe))
    }
}

impl<'de> de::VariantAccess<'de> for Probe<'_> {
    type Error = ProbeError;

    fn unit_variant(mut self) -> Result<(), ProbeError> {
        self.record(Part::NoData);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ProbeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ProbeError> {
        self.items(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.record(Part::Fields(fields));
        self.fields(fields, visitor)
    }
}
