//! Owned Lua values.

use bytes::Bytes;

use super::key::Key;
use super::number::exact_integer;

/// A Lua value that lua-seri can represent.
///
/// Equality is by representation: `Integer(1)` and `Number(1.0)` differ here, though not in Lua; tables with the
/// same entries in another order differ; NaN differs from itself. `Display` writes text for humans, similar to
/// `print` in Lua.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// True or false.
    Boolean(bool),
    /// A number of Lua's integer subtype.
    Integer(i64),
    /// A number of Lua's float subtype, even where its value is integral.
    Number(f64),
    /// A string: arbitrary bytes, as in Lua.
    String(Bytes),
    /// A table.
    Table(Table),
}

/// A Lua table: the list at positions 1, 2, 3 …, and all other entries.
///
/// An entry whose value is nil counts as absent, as in Lua: [`Table::get`] does not find it and packing omits it.
/// Nil and NaN are invalid keys: packing refuses them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The values at positions 1, 2, 3 …; nil marks a hole.
    pub array: Vec<Value>,
    /// Keys and values outside the array, in the order in which they were read or set.
    pub entries: Vec<(Value, Value)>,
}

/// The kind of a value, for error texts and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing.
    Nil,
    /// True or false.
    Boolean,
    /// A number of the integer subtype.
    Integer,
    /// A number of the float subtype.
    Number,
    /// A string of bytes.
    String,
    /// A table.
    Table,
}

impl Value {
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
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The bytes, if this is a string.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The table, if this is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// This value as a key for a look-up; None for nil and tables, which cannot be found.
    pub fn as_key(&self) -> Option<Key<'_>> {
        match self {
            Self::Nil | Self::Table(_) => None,
            Self::Boolean(value) => Some(Key::from(*value)),
            Self::Integer(value) => Some(Key::from(*value)),
            Self::Number(value) => Some(Key::from(*value)),
            Self::String(bytes) => Some(Key::from(bytes.as_ref())),
        }
    }
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the table has neither list items nor entries.
    pub fn is_empty(&self) -> bool {
        self.array.is_empty() && self.entries.is_empty()
    }

    /// The value of a key; None where Lua returns nil.
    ///
    /// Of two entries with the same key the later one is used, as after reading them in Lua.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Option<&Value> {
        let key = key.into();
        let entry = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.0.as_key() == Some(key));
        let value = match entry {
            Some((_, value)) => value,
            None => self.array.get(key.array_index()?)?,
        };
        (!value.is_nil()).then_some(value)
    }

    /// Sets the value of a key, replacing its previous value.
    ///
    /// The position after the end of the array extends the array.
    pub fn set(&mut self, key: impl Into<Value>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        if let Some(wanted) = key.as_key() {
            let slot = self
                .entries
                .iter_mut()
                .rev()
                .find(|entry| entry.0.as_key() == Some(wanted));
            if let Some((_, slot)) = slot {
                *slot = value;
                return;
            }
            if let Some(index) = wanted.array_index() {
                if let Some(slot) = self.array.get_mut(index) {
                    *slot = value;
                    return;
                }
                if index == self.array.len() {
                    self.array.push(value);
                    return;
                }
            }
        }
        self.entries.push((key, value));
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut table = Self::new();
        for (key, value) in pairs {
            table.set(key, value);
        }
        table
    }
}

impl From<Vec<Value>> for Table {
    fn from(array: Vec<Value>) -> Self {
        Self {
            array,
            entries: Vec::new(),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Nil => "nil",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "float",
            Self::String => "string",
            Self::Table => "table",
        })
    }
}

macro_rules! value_from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Self::Integer(i64::from(value))
            }
        }
    )*};
}

// The wider unsigned types are left out: not all of their values fit a Lua integer.
value_from_integer!(i8 i16 i32 i64 u8 u16 u32);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Number(f64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(Bytes::from(value))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::String(Bytes::copy_from_slice(value))
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::String(Bytes::from(value))
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::String(value)
    }
}

impl From<Table> for Value {
    fn from(value: Table) -> Self {
        Self::Table(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(array: Vec<Value>) -> Self {
        Self::Table(Table::from(array))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_the_value_that_lua_finds() {
        let mut table = Table::from(vec![Value::from("first"), Value::Nil]);
        table.set("name", "Alice");
        table.set(10, true);
        table.set(false, 1);
        assert_eq!(table.get(1).and_then(Value::as_str), Some("first"));
        assert_eq!(table.get(1.0).and_then(Value::as_str), Some("first"));
        assert_eq!(table.get(2), None, "a hole");
        assert_eq!(table.get("name").and_then(Value::as_str), Some("Alice"));
        assert_eq!(table.get("1"), None, "a string is not a number");
        assert_eq!(table.get(10.0).and_then(Value::as_boolean), Some(true));
        assert_eq!(table.get(false).and_then(Value::as_integer), Some(1));
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(i64::MIN), None);
        assert_eq!(table.get(f64::NAN), None);
    }

    #[test]
    fn the_later_of_two_equal_keys_is_used() {
        let entries = vec![
            (Value::from("k"), Value::from(1)),
            (Value::from("k"), Value::from(2)),
            (Value::from(1.0), Value::from("over the array")),
        ];
        let table = Table {
            array: vec![Value::from("in the array")],
            entries,
        };
        assert_eq!(table.get("k").and_then(Value::as_integer), Some(2));
        assert_eq!(table.get(1).and_then(Value::as_str), Some("over the array"));
    }

    #[test]
    fn setting_replaces_extends_or_adds() {
        let mut table: Table = [(1, "a"), (2, "b"), (4, "d")].into_iter().collect();
        assert_eq!(table.array.len(), 2);
        table.set(1.0, "A");
        table.set(4, "D");
        assert_eq!(table.array, vec![Value::from("A"), Value::from("b")]);
        assert_eq!(table.entries, vec![(Value::from(4), Value::from("D"))]);
        table.set("gone", Value::Nil);
        assert_eq!(table.get("gone"), None);
    }

    #[test]
    fn a_value_converts_only_to_its_own_type() {
        assert_eq!(Value::from(3.0).as_integer(), Some(3));
        assert_eq!(Value::from(3.5).as_integer(), None);
        assert_eq!(Value::from(3).as_number(), Some(3.0));
        assert_eq!(Value::from(&[0xff_u8][..]).as_str(), None);
        assert_eq!(Value::from("3").as_integer(), None);
        assert_eq!(Value::from(None::<bool>), Value::Nil);
        assert_eq!(Value::Nil.as_boolean(), None);
    }
}
