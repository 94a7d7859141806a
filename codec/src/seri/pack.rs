//! Values to bytes.
//!
//! # Invariants
//!
//! - The shortest form is used, as in Skynet: the same values give the same bytes.
//! - A float is packed as a float even when it is integral, because Lua distinguishes floats and integers.
//! - A failed [`pack_into`] leaves its buffer unchanged.

use bytes::{BufMut, Bytes, BytesMut};

use super::value::{Table, Value};
use super::wire::{
    ARRAY_SIZE_FOLLOWS, DEPTH_MAX, NUMBER_F64, NUMBER_I32, NUMBER_I64, NUMBER_U8, NUMBER_U16, NUMBER_ZERO,
    STRING_SHORT_END, STRING_U16, STRING_U32, TYPE_BOOLEAN, TYPE_NIL, TYPE_NUMBER, TYPE_STRING_LONG,
    TYPE_STRING_SHORT, TYPE_TABLE, head, kind_of,
};

/// The longest string in bytes and the longest list in items, because Skynet counts both in a C `int`.
pub const LENGTH_MAX: usize = i32::MAX as usize;

/// Initial capacity of [`pack`] in bytes: enough for most calls, so that they allocate once.
const CAPACITY_INITIAL: usize = 64;

/// Why values cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A value is inside more than [`DEPTH_MAX`] tables.
    #[error("tables are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// An unsigned integer is larger than Lua's largest.
    #[error("{value} is larger than Lua's largest integer, {}", i64::MAX)]
    IntegerOutOfRange {
        /// The integer.
        value: u64,
    },
    /// A string or a list is longer than [`LENGTH_MAX`].
    #[error("a string or list of length {length} is longer than {LENGTH_MAX}")]
    TooLong {
        /// Bytes of the string or items of the list.
        length: usize,
    },
    /// A table has an entry whose key is nil, which would be read as the end of the table.
    #[error("a table has the key nil")]
    NilKey,
    /// A table has an entry whose key is NaN, which Lua refuses.
    #[error("a table has the key NaN")]
    NanKey,
}

/// Types that can be packed: one Lua value, or several in sequence.
///
/// A tuple is its members in sequence, `()` is no value. A slice of [`Value`] is its items in sequence; a Lua list
/// is a [`Table`].
pub trait Pack {
    /// Appends the values.
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError>;
}

/// Packs values into a payload of their own.
///
/// ```
/// use skyring_codec::seri::pack;
/// assert_eq!(pack(&("GET", 1))?.as_ref(), b"\x1cGET\x0a\x01");
/// # Ok::<(), skyring_codec::seri::PackError>(())
/// ```
#[inline]
pub fn pack<T: Pack + ?Sized>(values: &T) -> Result<Bytes, PackError> {
    let mut buffer = BytesMut::with_capacity(CAPACITY_INITIAL);
    values.pack(&mut Packer::new(&mut buffer))?;
    Ok(buffer.freeze())
}

/// Appends values to a buffer. On an error the buffer is unchanged.
#[inline]
pub fn pack_into<T: Pack + ?Sized>(buffer: &mut BytesMut, values: &T) -> Result<(), PackError> {
    let start = buffer.len();
    let result = values.pack(&mut Packer::new(buffer));
    if result.is_err() {
        buffer.truncate(start);
    }
    result
}

/// Appends Lua values to a buffer, one call for each: the output of implementations of [`Pack`].
///
/// A table is [`Packer::table_start`], its list items, then keys and values alternately, then
/// [`Packer::table_end`]. The caller must make balanced calls, and must not append nil or NaN as a key.
#[derive(Debug)]
pub struct Packer<'b> {
    buffer: &'b mut BytesMut,
    /// How many tables are open.
    depth: usize,
}

impl<'b> Packer<'b> {
    /// A packer that appends to `buffer`. After an error the buffer holds what was appended before it.
    #[inline]
    pub fn new(buffer: &'b mut BytesMut) -> Self {
        Self { buffer, depth: 0 }
    }

    /// Appends nil.
    #[inline]
    pub fn nil(&mut self) -> Result<(), PackError> {
        self.check_depth()?;
        self.buffer.put_u8(head(TYPE_NIL, 0));
        Ok(())
    }

    /// Appends a boolean.
    #[inline]
    pub fn boolean(&mut self, value: bool) -> Result<(), PackError> {
        self.check_depth()?;
        self.buffer.put_u8(head(TYPE_BOOLEAN, u8::from(value)));
        Ok(())
    }

    /// Appends an integer.
    #[inline]
    pub fn integer(&mut self, value: i64) -> Result<(), PackError> {
        self.check_depth()?;
        self.integer_unchecked(value);
        Ok(())
    }

    /// Appends a float.
    #[inline]
    pub fn number(&mut self, value: f64) -> Result<(), PackError> {
        self.check_depth()?;
        self.head_and(head(TYPE_NUMBER, NUMBER_F64), value.to_le_bytes());
        Ok(())
    }

    /// Appends a string, which in Lua is any bytes.
    #[inline]
    pub fn string(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.check_depth()?;
        if bytes.len() < STRING_SHORT_END {
            self.buffer.put_u8(head(TYPE_STRING_SHORT, bytes.len() as u8));
        } else {
            self.string_long_head(bytes.len())?;
        }
        self.buffer.put_slice(bytes);
        Ok(())
    }

    /// Opens a table whose list has `array_length` items, which must follow.
    pub fn table_start(&mut self, array_length: usize) -> Result<(), PackError> {
        self.check_depth()?;
        check_length(array_length)?;
        if array_length < usize::from(ARRAY_SIZE_FOLLOWS) {
            self.buffer.put_u8(head(TYPE_TABLE, array_length as u8));
        } else {
            self.buffer.put_u8(head(TYPE_TABLE, ARRAY_SIZE_FOLLOWS));
            self.integer_unchecked(array_length as i64);
        }
        self.depth += 1;
        Ok(())
    }

    /// Closes the innermost open table.
    pub fn table_end(&mut self) {
        // The nil at the end is no value, so it is allowed even where a value would be too deep.
        self.buffer.put_u8(head(TYPE_NIL, 0));
        self.depth = self.depth.saturating_sub(1);
    }

    /// The length of the buffer, as a mark.
    pub(super) fn mark(&self) -> usize {
        self.buffer.len()
    }

    /// Removes an open table: everything since the mark at which it was opened.
    pub(super) fn abandon_table(&mut self, mark: usize) {
        self.buffer.truncate(mark);
        self.depth = self.depth.saturating_sub(1);
    }

    /// Corrects the array length of the table opened at `start`, whose items begin at `items`.
    pub(super) fn rewrite_array_length(
        &mut self,
        start: usize,
        items: usize,
        array_length: usize,
    ) -> Result<(), PackError> {
        let packed = self.buffer.split_off(items.min(self.buffer.len()));
        self.abandon_table(start);
        self.table_start(array_length)?;
        self.buffer.put_slice(&packed);
        Ok(())
    }

    /// Refuses the key appended since `mark` if it is nil or NaN.
    pub(super) fn check_key(&self, mark: usize) -> Result<(), PackError> {
        match self.buffer.get(mark..).unwrap_or_default() {
            [first, ..] if kind_of(*first) == TYPE_NIL => Err(PackError::NilKey),
            [first, rest @ ..] if *first == head(TYPE_NUMBER, NUMBER_F64) => match rest.try_into() {
                Ok(bytes) if f64::from_le_bytes(bytes).is_nan() => Err(PackError::NanKey),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Removes the entry appended since `key` if its value, appended since `value`, is nil.
    pub(super) fn drop_entry_if_nil(&mut self, key: usize, value: usize) {
        if self.is_nil_since(value) {
            self.buffer.truncate(key);
        }
    }

    /// Whether exactly a nil has been appended since `mark`.
    pub(super) fn is_nil_since(&self, mark: usize) -> bool {
        self.buffer.get(mark..) == Some(&[head(TYPE_NIL, 0)])
    }

    #[inline]
    fn check_depth(&self) -> Result<(), PackError> {
        if self.depth > DEPTH_MAX {
            Err(PackError::TooDeep)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn integer_unchecked(&mut self, value: i64) {
        if value == 0 {
            self.buffer.put_u8(head(TYPE_NUMBER, NUMBER_ZERO));
        } else if let Ok(value) = u8::try_from(value) {
            self.head_and(head(TYPE_NUMBER, NUMBER_U8), [value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.head_and(head(TYPE_NUMBER, NUMBER_U16), value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.head_and(head(TYPE_NUMBER, NUMBER_I32), value.to_le_bytes());
        } else {
            self.head_and(head(TYPE_NUMBER, NUMBER_I64), value.to_le_bytes());
        }
    }

    fn string_long_head(&mut self, length: usize) -> Result<(), PackError> {
        check_length(length)?;
        if let Ok(length) = u16::try_from(length) {
            self.head_and(head(TYPE_STRING_LONG, STRING_U16), length.to_le_bytes());
        } else {
            self.head_and(head(TYPE_STRING_LONG, STRING_U32), (length as u32).to_le_bytes());
        }
        Ok(())
    }

    #[inline]
    fn head_and<const N: usize>(&mut self, head: u8, bytes: [u8; N]) {
        self.buffer.put_u8(head);
        self.buffer.put_slice(&bytes);
    }
}

#[inline]
fn check_length(length: usize) -> Result<(), PackError> {
    if length > LENGTH_MAX {
        Err(PackError::TooLong { length })
    } else {
        Ok(())
    }
}

macro_rules! pack_integer {
    ($($integer:ty)*) => {$(
        impl Pack for $integer {
            #[inline]
            fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
                packer.integer(*self as i64)
            }
        }
    )*};
}

pack_integer!(i8 i16 i32 i64 isize u8 u16 u32);

impl Pack for u64 {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        let value = i64::try_from(*self).map_err(|_| PackError::IntegerOutOfRange { value: *self })?;
        packer.integer(value)
    }
}

impl Pack for usize {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        (*self as u64).pack(packer)
    }
}

impl Pack for f32 {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        packer.number(f64::from(*self))
    }
}

impl Pack for f64 {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        packer.number(*self)
    }
}

impl Pack for bool {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        packer.boolean(*self)
    }
}

macro_rules! pack_string {
    ($($string:ty)*) => {$(
        impl Pack for $string {
            #[inline]
            fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
                packer.string(self.as_ref())
            }
        }
    )*};
}

pack_string!(str String [u8] Vec<u8> Bytes BytesMut);

impl<const N: usize> Pack for [u8; N] {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        packer.string(self)
    }
}

impl<T: Pack> Pack for Option<T> {
    /// None is one nil, even if `T` is several values.
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        match self {
            Some(value) => value.pack(packer),
            None => packer.nil(),
        }
    }
}

impl<T: Pack + ?Sized> Pack for &T {
    #[inline]
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        (**self).pack(packer)
    }
}

impl Pack for [Value] {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        self.iter().try_for_each(|value| value.pack(packer))
    }
}

impl Pack for Vec<Value> {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        self.as_slice().pack(packer)
    }
}

impl Pack for Value {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        match self {
            Self::Nil => packer.nil(),
            Self::Boolean(value) => packer.boolean(*value),
            Self::Integer(value) => packer.integer(*value),
            Self::Number(value) => packer.number(*value),
            Self::String(bytes) => packer.string(bytes),
            Self::Table(table) => table.pack(packer),
        }
    }
}

impl Pack for Table {
    fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
        packer.table_start(self.array.len())?;
        self.array.as_slice().pack(packer)?;
        for (key, value) in &self.entries {
            match key {
                Value::Nil => return Err(PackError::NilKey),
                Value::Number(number) if number.is_nan() => return Err(PackError::NanKey),
                _ if value.is_nil() => {}
                _ => {
                    key.pack(packer)?;
                    value.pack(packer)?;
                }
            }
        }
        packer.table_end();
        Ok(())
    }
}

impl Pack for () {
    #[inline]
    fn pack(&self, _packer: &mut Packer<'_>) -> Result<(), PackError> {
        Ok(())
    }
}

macro_rules! pack_tuple {
    ($($member:ident)*) => {
        impl<$($member: Pack),*> Pack for ($($member,)*) {
            #[inline]
            fn pack(&self, packer: &mut Packer<'_>) -> Result<(), PackError> {
                #[expect(non_snake_case, reason = "a member is named after its type")]
                let ($($member,)*) = self;
                $($member.pack(packer)?;)*
                Ok(())
            }
        }
    };
}

pack_tuple!(A);
pack_tuple!(A B);
pack_tuple!(A B C);
pack_tuple!(A B C D);
pack_tuple!(A B C D E);
pack_tuple!(A B C D E F);
pack_tuple!(A B C D E F G);
pack_tuple!(A B C D E F G H);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_above_a_c_int_are_refused_without_writing() {
        let mut buffer = BytesMut::new();
        let mut packer = Packer::new(&mut buffer);
        let length = LENGTH_MAX + 1;
        assert_eq!(
            packer.string_long_head(length),
            Err(PackError::TooLong { length })
        );
        assert_eq!(packer.table_start(length), Err(PackError::TooLong { length }));
        assert_eq!(packer.string_long_head(LENGTH_MAX), Ok(()));
        assert_eq!(buffer.as_ref(), b"\x25\xff\xff\xff\x7f");
    }

    #[test]
    fn a_failed_pack_leaves_the_buffer_unchanged() {
        let mut buffer = BytesMut::from(&b"before"[..]);
        let result = pack_into(&mut buffer, &("GET", u64::MAX));
        assert_eq!(result, Err(PackError::IntegerOutOfRange { value: u64::MAX }));
        assert_eq!(buffer.as_ref(), b"before");
        assert_eq!(pack_into(&mut buffer, &("GET", i64::MAX as u64)), Ok(()));
        assert_eq!(
            buffer.as_ref(),
            b"before\x1cGET\x32\xff\xff\xff\xff\xff\xff\xff\x7f"
        );
    }

    #[test]
    fn keys_that_lua_cannot_hold_are_refused_and_nil_values_left_out() {
        let table = |key, value| Table {
            array: Vec::new(),
            entries: vec![(key, value)],
        };
        assert_eq!(pack(&table(Value::Nil, Value::from(1))), Err(PackError::NilKey));
        assert_eq!(
            pack(&table(Value::from(f64::NAN), Value::from(1))),
            Err(PackError::NanKey)
        );
        assert_eq!(
            pack(&table(Value::from("k"), Value::Nil)).unwrap().as_ref(),
            b"\x06\x00"
        );
    }
}
