//! Values read in place: strings and tables borrow from their payload.
//!
//! # Invariants
//!
//! - A [`ValueRef`] exists only for bytes that have been read to their end without an error, so the iterators over
//!   a table cannot fail.
//! - Nothing here allocates.

use std::iter::FusedIterator;

use super::key::Key;
use super::number::exact_integer;
use super::reader::{Reader, Token, UnpackError};
use super::value::{Kind, Table, Value};

/// A Lua value that borrows from its payload.
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Boolean(bool),
    /// A number of Lua's integer subtype.
    Integer(i64),
    /// A number of Lua's float subtype.
    Number(f64),
    /// A string: arbitrary bytes, as in Lua.
    String(&'a [u8]),
    /// A table.
    Table(TableRef<'a>),
}

/// A table that is read in place, any number of times.
#[derive(Debug, Clone, Copy)]
pub struct TableRef<'a> {
    /// The packed list items.
    array: &'a [u8],
    array_length: usize,
    /// The packed keys and values alternately, and the nil after the last.
    entries: &'a [u8],
}

/// The values of a payload in sequence. The iterator ends after an error.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    reader: Reader<'a>,
    /// How many values were taken, missing ones included.
    taken: usize,
}

/// The values at positions 1, 2, 3 … of a table.
#[derive(Debug, Clone)]
pub struct Array<'a> {
    reader: Reader<'a>,
    left: usize,
}

/// The keys and values of a table outside its array.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
}

/// Iterates over the values of a payload without copying.
///
/// ```
/// use skyring_codec::seri::{ValueRef, values};
/// let mut values = values(b"\x1cGET\x0a\x01");
/// assert!(matches!(values.next(), Some(Ok(ValueRef::String(b"GET")))));
/// assert!(matches!(values.next(), Some(Ok(ValueRef::Integer(1)))));
/// assert!(values.next().is_none());
/// ```
#[inline]
pub fn values(payload: &[u8]) -> Values<'_> {
    Values {
        reader: Reader::new(payload),
        taken: 0,
    }
}

impl<'a> Values<'a> {
    /// The bytes of the remaining values.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Takes all remaining values, and leaves none.
    #[inline]
    pub fn take_rest(&mut self) -> Values<'a> {
        let rest = *self;
        self.reader.stop();
        rest
    }

    /// Takes the next value; a missing one is nil, as for the parameters of a Lua function.
    #[inline]
    pub fn take_value(&mut self) -> Result<ValueRef<'a>, UnpackError> {
        self.taken += 1;
        if self.reader.is_empty() {
            return Ok(ValueRef::Nil);
        }
        let value = read(&mut self.reader);
        if value.is_err() {
            self.reader.stop();
        }
        value
    }

    /// Takes the next value with a function that reads exactly that value.
    #[inline]
    pub(super) fn take_with<T, E>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.taken += 1;
        let value = read(&mut self.reader);
        if value.is_err() {
            self.reader.stop();
        }
        value
    }

    /// How many values were taken, missing ones included: the position of the last one, as in the errors of
    /// [`Unpack`](super::Unpack).
    #[inline]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether the next value is nil or missing.
    #[inline]
    pub fn is_nil_next(&self) -> bool {
        self.reader.is_nil_next()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<ValueRef<'a>, UnpackError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            None
        } else {
            Some(self.take_value())
        }
    }
}

impl FusedIterator for Values<'_> {}

/// Reads one value to its end, which checks it.
#[inline]
fn read<'a>(reader: &mut Reader<'a>) -> Result<ValueRef<'a>, UnpackError> {
    let token = reader.value()?;
    finish(reader, token)
}

/// Reads the rest of a value that starts with `token`.
#[inline]
fn finish<'a>(reader: &mut Reader<'a>, token: Token<'a>) -> Result<ValueRef<'a>, UnpackError> {
    Ok(match token {
        Token::Nil => ValueRef::Nil,
        Token::Boolean(value) => ValueRef::Boolean(value),
        Token::Integer(value) => ValueRef::Integer(value),
        Token::Number(value) => ValueRef::Number(value),
        Token::String(bytes) => ValueRef::String(bytes),
        Token::Table { array_length } => ValueRef::Table(finish_table(reader, array_length)?),
    })
}

fn finish_table<'a>(reader: &mut Reader<'a>, array_length: usize) -> Result<TableRef<'a>, UnpackError> {
    let start = reader.rest();
    reader.skip_array(array_length)?;
    let middle = reader.rest();
    reader.skip_entries()?;
    let end = reader.rest();
    // The remaining bytes are a suffix of those before, so neither split can be out of range.
    let array = start
        .split_at_checked(start.len() - middle.len())
        .unwrap_or_default()
        .0;
    let entries = middle
        .split_at_checked(middle.len() - end.len())
        .unwrap_or_default()
        .0;
    Ok(TableRef {
        array,
        array_length,
        entries,
    })
}

impl<'a> TableRef<'a> {
    /// How many items the list at positions 1, 2, 3 … has, holes included.
    pub fn array_length(&self) -> usize {
        self.array_length
    }

    /// The list items in order.
    pub fn array(&self) -> Array<'a> {
        Array {
            reader: Reader::new(self.array),
            left: self.array_length,
        }
    }

    /// The keys and values outside the array, in wire order.
    pub fn entries(&self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.entries),
        }
    }

    /// The value of a key; None where Lua returns nil. Searches the whole table.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Option<ValueRef<'a>> {
        let key = key.into();
        let entry = self
            .entries()
            .filter(|entry| entry.0.as_key() == Some(key))
            .last();
        let value = match entry {
            Some((_, value)) => value,
            None => self.array().nth(key.array_index()?)?,
        };
        (!value.is_nil()).then_some(value)
    }

    /// An owned copy.
    pub fn to_table(&self) -> Table {
        Table {
            array: self.array().map(Value::from).collect(),
            entries: self
                .entries()
                .map(|(key, value)| (Value::from(key), Value::from(value)))
                .collect(),
        }
    }
}

impl<'a> Iterator for Array<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        read(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Array<'_> {}
impl FusedIterator for Array<'_> {}

impl<'a> Iterator for Entries<'a> {
    type Item = (ValueRef<'a>, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let key = self.reader.key().ok()??;
        let key = finish(&mut self.reader, key).ok()?;
        Some((key, read(&mut self.reader).ok()?))
    }
}

impl FusedIterator for Entries<'_> {}

impl<'a> ValueRef<'a> {
    /// The kind of this value.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Nil,
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Table(_) => Kind::Table,
        }
    }

    /// Whether this is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// The boolean, if this is one. Lua's truthiness is not applied.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if this is one or a float that equals one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Number(value) => exact_integer(*value),
            _ => None,
        }
    }

    /// The number as a float, if this is a number; integers above 2^53 are rounded.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if this is a string and valid UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The bytes, if this is a string.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The table, if this is one.
    pub fn as_table(&self) -> Option<TableRef<'a>> {
        match self {
            Self::Table(table) => Some(*table),
            _ => None,
        }
    }

    /// This value as a key for a look-up; None for nil and tables, which cannot be found.
    pub fn as_key(&self) -> Option<Key<'a>> {
        match self {
            Self::Nil | Self::Table(_) => None,
            Self::Boolean(value) => Some(Key::from(*value)),
            Self::Integer(value) => Some(Key::from(*value)),
            Self::Number(value) => Some(Key::from(*value)),
            Self::String(bytes) => Some(Key::from(*bytes)),
        }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Nil => Self::Nil,
            ValueRef::Boolean(value) => Self::Boolean(value),
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Number(value) => Self::Number(value),
            ValueRef::String(bytes) => Self::from(bytes),
            ValueRef::Table(table) => Self::Table(table.to_table()),
        }
    }
}
