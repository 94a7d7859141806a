//! Bytes to Rust types.

use serde::de::value::{BorrowedBytesDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Error as _, Unexpected, Visitor};

use super::SerdeError;
use crate::seri::number::exact_integer;
use crate::seri::reader::{RESERVED_ITEMS_MAX, Reader, Token};
use crate::seri::view::Values;

/// Reads a Rust value from packed Lua values; see the [module](super) for the mapping.
///
/// Values after the wanted ones are ignored, and missing ones are nil. Strings and bytes may borrow.
pub fn from_bytes<'de, T: Deserialize<'de>>(payload: &'de [u8]) -> Result<T, SerdeError> {
    let mut reader = Reader::new(payload);
    let token = next_at_top(&mut reader)?;
    T::deserialize(Deserializer {
        reader: &mut reader,
        token,
        at_top: true,
    })
}

impl<'a> Values<'a> {
    /// Takes the next value as a Rust type, which may borrow; a missing one is nil. See the [module](super) for the
    /// mapping.
    ///
    /// # Errors
    /// [`SerdeError`] when the bytes are malformed or the type refuses the value; then no value is left.
    #[inline]
    pub fn deserialize<T: Deserialize<'a>>(&mut self) -> Result<T, SerdeError> {
        self.take_with(|reader| {
            let token = next_at_top(reader)?;
            T::deserialize(Deserializer::inner(reader, token))
        })
    }
}

/// The next value at the top of a payload; nil when there is none.
fn next_at_top<'de>(reader: &mut Reader<'de>) -> Result<Token<'de>, SerdeError> {
    Ok(if reader.is_empty() {
        Token::Nil
    } else {
        reader.value()?
    })
}

/// Reads the value that starts with `token`.
struct Deserializer<'r, 'de> {
    reader: &'r mut Reader<'de>,
    token: Token<'de>,
    /// Whether more values of the same payload may follow.
    at_top: bool,
}

impl<'r, 'de> Deserializer<'r, 'de> {
    fn inner(reader: &'r mut Reader<'de>, token: Token<'de>) -> Self {
        Self {
            reader,
            token,
            at_top: false,
        }
    }

    /// Reads the list of the table just opened; `length` is the length of a wanted tuple.
    fn list<V: Visitor<'de>>(
        self,
        array_length: usize,
        length: Option<usize>,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        let missing = length.unwrap_or(0).saturating_sub(array_length);
        let mut items = ListAccess {
            reader: self.reader,
            left: array_length,
            missing,
        };
        let value = visitor.visit_seq(&mut items)?;
        if items.left > 0 {
            return Err(SerdeError::invalid_length(array_length, &"a shorter list"));
        }
        if items.reader.key()?.is_some() {
            return Err(SerdeError::custom(
                "a table with more than a list in place of a list",
            ));
        }
        Ok(value)
    }

    /// Reads the table just opened as keys and values, its list under the keys 1, 2, 3 ….
    fn map<V: Visitor<'de>>(self, array_length: usize, visitor: V) -> Result<V::Value, SerdeError> {
        let mut access = MapAccess {
            reader: self.reader,
            array_length,
            passed: 0,
            in_value: false,
            ended: false,
        };
        let value = visitor.visit_map(&mut access)?;
        while de::MapAccess::next_entry::<de::IgnoredAny, de::IgnoredAny>(&mut access)?.is_some() {}
        Ok(value)
    }

    fn tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, SerdeError> {
        if self.at_top {
            return visitor.visit_seq(TopAccess {
                reader: self.reader,
                first: Some(self.token),
                left: length,
            });
        }
        match self.token {
            Token::Table { array_length } => self.list(array_length, Some(length), visitor),
            _ => self.any(visitor),
        }
    }

    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::Number(number) => match exact_integer(number) {
                Some(integer) => visitor.visit_i64(integer),
                None => visitor.visit_f64(number),
            },
            _ => self.any(visitor),
        }
    }

    fn string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            _ => self.any(visitor),
        }
    }

    fn any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::Nil => visitor.visit_unit(),
            Token::Boolean(value) => visitor.visit_bool(value),
            Token::Integer(value) => visitor.visit_i64(value),
            Token::Number(value) => visitor.visit_f64(value),
            Token::String(_) => self.string(visitor),
            // A table with only a list is a sequence; an empty table could be either and is read as a map, like
            // `{}`.
            Token::Table { array_length } if array_length > 0 && self.reader.is_list_alone(array_length) => {
                self.list(array_length, None, visitor)
            }
            Token::Table { array_length } => self.map(array_length, visitor),
        }
    }
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.any(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.number(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::String(bytes) => visitor.visit_borrowed_bytes(bytes),
            _ => self.any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::Table { array_length } => self.list(array_length, None, visitor),
            _ => self.any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, SerdeError> {
        self.tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::Table { array_length } => self.map(array_length, visitor),
            _ => self.any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::String(_) => visitor.visit_enum(EnumAccess {
                name: self.token,
                data: None,
            }),
            Token::Table { array_length: 0 } => {
                let Some(name) = self.reader.key()? else {
                    return Err(SerdeError::custom("an empty table in place of an enum"));
                };
                let value = visitor.visit_enum(EnumAccess {
                    name,
                    data: Some(&mut *self.reader),
                })?;
                if self.reader.key()?.is_some() {
                    return Err(SerdeError::custom(
                        "a table with several keys in place of an enum",
                    ));
                }
                Ok(value)
            }
            _ => self.any(visitor),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self.token {
            Token::String(_) => self.string(visitor),
            // A visitor would take an integer as the index of a field or variant, which a list position is not.
            // Keys of other kinds are no fields either; the text matches no identifier.
            Token::Integer(position) => visitor.visit_string(format!("[{position}]")),
            other => {
                self.reader.skip(other)?;
                visitor.visit_str("[]")
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.reader.skip(self.token)?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string unit unit_struct
    }
}

/// Passes the values at the top of a payload to a tuple.
struct TopAccess<'r, 'de> {
    reader: &'r mut Reader<'de>,
    /// The value that was already read, to determine its type.
    first: Option<Token<'de>>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for TopAccess<'_, 'de> {
    type Error = SerdeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SerdeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let token = match self.first.take() {
            Some(token) => token,
            None => next_at_top(self.reader)?,
        };
        seed.deserialize(Deserializer::inner(self.reader, token))
            .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Passes the list items of a table.
struct ListAccess<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
    /// Nils to pass after the list: Lua does not keep those at the end of one.
    missing: usize,
}

impl<'de> de::SeqAccess<'de> for ListAccess<'_, 'de> {
    type Error = SerdeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SerdeError> {
        let token = if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.reader.value()?
        } else if let Some(missing) = self.missing.checked_sub(1) {
            self.missing = missing;
            Token::Nil
        } else {
            return Ok(None);
        };
        seed.deserialize(Deserializer::inner(self.reader, token))
            .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        // A lower bound for long lists: nested lists could each declare all remaining bytes.
        Some(self.left.min(RESERVED_ITEMS_MAX))
    }
}

/// Passes a table as keys and values.
struct MapAccess<'r, 'de> {
    reader: &'r mut Reader<'de>,
    array_length: usize,
    /// List items whose key was passed.
    passed: usize,
    /// Whether the value of the last key was not passed yet.
    in_value: bool,
    ended: bool,
}

impl<'de> de::MapAccess<'de> for MapAccess<'_, 'de> {
    type Error = SerdeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SerdeError> {
        if self.in_value {
            // The visitor has not taken the value of the last key.
            let token = self.reader.value()?;
            self.reader.skip(token)?;
            self.in_value = false;
        }
        let token = loop {
            if self.ended {
                return Ok(None);
            }
            if self.passed < self.array_length {
                self.passed += 1;
                if self.reader.is_nil_next() {
                    // A hole in the list is a missing key.
                    self.reader.value()?;
                    continue;
                }
                break Token::Integer(self.passed as i64);
            }
            match self.reader.key()? {
                Some(token) => break token,
                None => self.ended = true,
            }
        };
        self.in_value = true;
        seed.deserialize(Deserializer::inner(self.reader, token))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, SerdeError> {
        let token = self.reader.value()?;
        self.in_value = false;
        seed.deserialize(Deserializer::inner(self.reader, token))
    }
}

/// A variant: its name, and the reader of its data if it has any.
struct EnumAccess<'r, 'de> {
    name: Token<'de>,
    data: Option<&'r mut Reader<'de>>,
}

impl<'r, 'de> de::EnumAccess<'de> for EnumAccess<'r, 'de> {
    type Error = SerdeError;
    type Variant = VariantAccess<'r, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), SerdeError> {
        let Token::String(name) = self.name else {
            return Err(SerdeError::custom("a variant's name is not a string"));
        };
        let variant = match std::str::from_utf8(name) {
            Ok(text) => seed.deserialize(StrDeserializer::<SerdeError>::new(text)),
            Err(_) => seed.deserialize(BorrowedBytesDeserializer::<SerdeError>::new(name)),
        };
        Ok((variant?, VariantAccess { data: self.data }))
    }
}

/// The data of a variant.
struct VariantAccess<'r, 'de> {
    data: Option<&'r mut Reader<'de>>,
}

impl<'de> de::VariantAccess<'de> for VariantAccess<'_, 'de> {
    type Error = SerdeError;

    fn unit_variant(self) -> Result<(), SerdeError> {
        match self.data {
            Some(_) => Err(SerdeError::custom("data for a variant without data")),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, SerdeError> {
        match self.data {
            Some(reader) => {
                let token = reader.value()?;
                seed.deserialize(Deserializer::inner(reader, token))
            }
            // A name alone means data that is nil.
            None => seed.deserialize(Deserializer::inner(&mut Reader::new(&[]), Token::Nil)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, SerdeError> {
        let Some(reader) = self.data else {
            return Err(SerdeError::invalid_type(
                Unexpected::UnitVariant,
                &"a variant with several values",
            ));
        };
        let token = reader.value()?;
        Deserializer::inner(reader, token).tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        let Some(reader) = self.data else {
            return Err(SerdeError::invalid_type(
                Unexpected::UnitVariant,
                &"a variant with fields",
            ));
        };
        let token = reader.value()?;
        de::Deserializer::deserialize_map(Deserializer::inner(reader, token), visitor)
    }
}
