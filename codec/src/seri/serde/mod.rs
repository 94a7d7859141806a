//! lua-seri as a serde format: Rust types to Lua tables and back.
//!
//! | Rust | Lua |
//! | --- | --- |
//! | a tuple or tuple struct at the top | several values in sequence |
//! | `()` at the top | no values |
//! | struct, map | table with keys |
//! | sequence, inner tuple | table with a list |
//! | `Option`, unit | nil for none |
//! | enum variant without data | its name |
//! | enum variant with data | `{name = data}` |
//! | string, `char`, bytes | string |
//!
//! # Invariants
//!
//! - An entry whose value is nil is omitted, because no Lua table can hold one. For the same reason a variant
//!   whose data is nil is written as its name alone. Both are read back as the same Rust value.
//! - A missing value is read as nil: values at the top, fields of a struct, the end of a tuple.
//! - A table with more than a list is no sequence. Unknown fields of a struct are ignored, unless it denies them.

mod de;
mod probe;
mod ser;
mod shape;
mod value;

pub use self::de::from_bytes;
pub use self::ser::to_bytes;
pub use self::shape::{Field, READS_MAX, Shape, Variant};
use super::pack::PackError;
use super::reader::UnpackError;

/// Why a Rust value cannot be converted to or from Lua values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SerdeError {
    /// The value has no packed form.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The bytes are malformed.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The Rust type refuses the value; the text contains the reason.
    #[error("{0}")]
    Message(String),
}

impl ::serde::ser::Error for SerdeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

impl ::serde::de::Error for SerdeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
