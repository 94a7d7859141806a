//! Table keys for look-ups, with Lua's equality.

use super::number::exact_integer;

/// A key of a Lua table for a look-up; created with `From`.
///
/// Two keys are equal when Lua finds the same slot with them: `1` and `1.0` are, `1` and `"1"` are not. In Lua
/// tables are keys by identity, which packing does not preserve, so no key equals a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key<'k>(Slot<'k>);

/// `Number` holds only floats that no integer equals; so derived equality is that of Lua.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot<'k> {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'k [u8]),
}

impl Key<'_> {
    /// The index into an array, counted from 0; None for a key that is no position.
    pub(super) fn array_index(self) -> Option<usize> {
        match self.0 {
            Slot::Integer(position) => usize::try_from(position.checked_sub(1)?).ok(),
            _ => None,
        }
    }
}

impl From<bool> for Key<'_> {
    fn from(key: bool) -> Self {
        Self(Slot::Boolean(key))
    }
}

impl From<i64> for Key<'_> {
    #[inline]
    fn from(key: i64) -> Self {
        Self(Slot::Integer(key))
    }
}

impl From<f64> for Key<'_> {
    fn from(key: f64) -> Self {
        Self(exact_integer(key).map_or(Slot::Number(key), Slot::Integer))
    }
}

impl<'k> From<&'k [u8]> for Key<'k> {
    #[inline]
    fn from(key: &'k [u8]) -> Self {
        Self(Slot::String(key))
    }
}

impl<'k> From<&'k str> for Key<'k> {
    #[inline]
    fn from(key: &'k str) -> Self {
        Self(Slot::String(key.as_bytes()))
    }
}

impl<'k> From<&'k String> for Key<'k> {
    fn from(key: &'k String) -> Self {
        Self::from(key.as_str())
    }
}
