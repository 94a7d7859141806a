//! Keys to look things up by, with Lua's idea of equality.

use super::number::exact_integer;

/// A key of a Lua table, to look things up by; made with `From`.
///
/// Two keys are equal when Lua would find the same slot with them: `1` and `1.0` are, `1` and `"1"`
/// are not. Tables are keys by identity in Lua, which does not survive packing, so no key equals one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key<'k>(Slot<'k>);

/// Floats stand here only when no integer equals them; that makes plain comparison Lua's.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot<'k> {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'k [u8]),
}

impl Key<'_> {
    /// Where in an array this key points, counted from 0, if it can point into one at all.
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
