//! Bytes to values of known types.
//!
//! As for the parameters of a Lua function, missing values are nil and additional ones are ignored.

use bytes::Bytes;

use super::number::exact_integer;
use super::reader::{Reader, UnpackError};
use super::value::{Table, Value};
use super::view::{TableRef, ValueRef, Values, values};

/// Values for which memory is reserved before the first is read.
const RESERVED_VALUES: usize = 4;

/// Types that can be unpacked: one Lua value, or several in sequence.
///
/// A tuple is its members in sequence, `()` is no value, [`Values`] is all remaining values.
pub trait Unpack<'a>: Sized {
    /// Takes as many values as the type consists of.
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError>;
}

/// Reads the values of a payload.
///
/// Missing values are nil, which an `Option` accepts. Values after the wanted ones are ignored, and not even read.
///
/// ```
/// use skyring_codec::seri::unpack;
/// let (command, key, expiry): (&str, i64, Option<f64>) = unpack(b"\x1cGET\x0a\x01")?;
/// assert_eq!((command, key, expiry), ("GET", 1, None));
/// # Ok::<(), skyring_codec::seri::UnpackError>(())
/// ```
#[inline]
pub fn unpack<'a, T: Unpack<'a>>(payload: &'a [u8]) -> Result<T, UnpackError> {
    T::unpack(&mut values(payload))
}

/// Reads all values of a payload into owned values.
///
/// The memory is at most a fixed multiple of the payload: some tens of bytes per byte.
pub fn unpack_all(payload: &[u8]) -> Result<Vec<Value>, UnpackError> {
    let mut reader = Reader::new(payload);
    let mut all = Vec::with_capacity(RESERVED_VALUES);
    while !reader.is_empty() {
        let token = reader.value()?;
        all.push(reader.owned(token)?);
    }
    Ok(all)
}

/// The error for a value of another kind than the wanted one.
#[cold]
fn mismatch(values: &Values<'_>, wanted: &'static str, found: &ValueRef<'_>) -> UnpackError {
    UnpackError::Mismatch {
        position: values.taken(),
        wanted,
        found: found.kind(),
    }
}

impl<'a> Unpack<'a> for ValueRef<'a> {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        values.take_value()
    }
}

impl<'a> Unpack<'a> for Value {
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        values.take_value().map(Self::from)
    }
}

impl<'a> Unpack<'a> for Values<'a> {
    /// Takes all remaining values, without checking them.
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        Ok(values.take_rest())
    }
}

impl<'a> Unpack<'a> for TableRef<'a> {
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        match values.take_value()? {
            ValueRef::Table(table) => Ok(table),
            other => Err(mismatch(values, "a table", &other)),
        }
    }
}

impl<'a> Unpack<'a> for Table {
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        TableRef::unpack(values).map(|table| table.to_table())
    }
}

impl<'a> Unpack<'a> for bool {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        match values.take_value()? {
            ValueRef::Boolean(value) => Ok(value),
            other => Err(mismatch(values, "a boolean", &other)),
        }
    }
}

#[inline]
fn take_integer(values: &mut Values<'_>) -> Result<i64, UnpackError> {
    match values.take_value()? {
        ValueRef::Integer(value) => Ok(value),
        ValueRef::Number(value) => exact_integer(value).ok_or(UnpackError::NotAnInteger {
            position: values.taken(),
            value,
        }),
        other => Err(mismatch(values, "an integer", &other)),
    }
}

macro_rules! unpack_integer {
    ($($integer:ty)*) => {$(
        impl<'a> Unpack<'a> for $integer {
            /// Takes an integer, or a float that equals one.
            #[inline]
            fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
                let value = take_integer(values)?;
                Self::try_from(value).map_err(|_| UnpackError::IntegerOutOfRange {
                    position: values.taken(),
                    wanted: stringify!($integer),
                    value,
                })
            }
        }
    )*};
}

unpack_integer!(i8 i16 i32 isize u8 u16 u32 u64 usize);

impl<'a> Unpack<'a> for i64 {
    /// Takes an integer, or a float that equals one.
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        take_integer(values)
    }
}

impl<'a> Unpack<'a> for f64 {
    /// Takes a float, or an integer; integers above 2^53 are rounded.
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        match values.take_value()? {
            ValueRef::Number(value) => Ok(value),
            ValueRef::Integer(value) => Ok(value as f64),
            other => Err(mismatch(values, "a number", &other)),
        }
    }
}

impl<'a> Unpack<'a> for &'a [u8] {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        match values.take_value()? {
            ValueRef::String(bytes) => Ok(bytes),
            other => Err(mismatch(values, "a string", &other)),
        }
    }
}

impl<'a> Unpack<'a> for &'a str {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        let bytes = <&[u8]>::unpack(values)?;
        std::str::from_utf8(bytes).map_err(|_| UnpackError::NotUtf8 {
            position: values.taken(),
        })
    }
}

impl<'a> Unpack<'a> for String {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        <&str>::unpack(values).map(Self::from)
    }
}

impl<'a> Unpack<'a> for Vec<u8> {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        <&[u8]>::unpack(values).map(Self::from)
    }
}

impl<'a> Unpack<'a> for Bytes {
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        <&[u8]>::unpack(values).map(Self::copy_from_slice)
    }
}

impl<'a, T: Unpack<'a>> Unpack<'a> for Option<T> {
    /// A nil or missing value is None and takes one value, even if `T` takes several.
    #[inline]
    fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
        if values.is_nil_next() {
            values.take_value()?;
            return Ok(None);
        }
        T::unpack(values).map(Some)
    }
}

impl<'a> Unpack<'a> for () {
    #[inline]
    fn unpack(_values: &mut Values<'a>) -> Result<Self, UnpackError> {
        Ok(())
    }
}

macro_rules! unpack_tuple {
    ($($member:ident)*) => {
        impl<'a, $($member: Unpack<'a>),*> Unpack<'a> for ($($member,)*) {
            #[inline]
            fn unpack(values: &mut Values<'a>) -> Result<Self, UnpackError> {
                Ok(($($member::unpack(values)?,)*))
            }
        }
    };
}

unpack_tuple!(A);
unpack_tuple!(A B);
unpack_tuple!(A B C);
unpack_tuple!(A B C D);
unpack_tuple!(A B C D E);
unpack_tuple!(A B C D E F);
unpack_tuple!(A B C D E F G);
unpack_tuple!(A B C D E F G H);
