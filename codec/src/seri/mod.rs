//! lua-seri: Lua values to bytes and back, in the format of Skynet's `skynet.pack`.
//!
//! A payload is a sequence of values without separators; an empty payload has no values. There are three interfaces:
//!
//! - for known types on hot paths: [`pack_into`] and [`unpack`] with tuples, which borrow and do not allocate;
//! - for known structured types: [`to_bytes`] and [`from_bytes`], through serde;
//! - for unknown types: [`Value`], with [`pack`] and [`unpack_all`], or [`values`] to iterate without copying.
//!
//! # Invariants
//!
//! - Values are packed to the same bytes as by Skynet.
//! - All values that Skynet packs can be read, except light userdata: a pointer has no meaning in another process.
//! - Values are inside at most [`DEPTH_MAX`] tables, when packed and when read.
//! - Reading never panics, and reserves memory by the bytes that were read, never by declared lengths.

mod key;
mod number;
mod pack;
mod reader;
pub mod serde;
mod text;
mod unpack;
mod value;
mod view;
mod wire;

pub use self::key::Key;
pub use self::pack::{LENGTH_MAX, Pack, PackError, Packer, pack, pack_into};
pub use self::reader::UnpackError;
pub use self::serde::{Field, READS_MAX, SerdeError, Shape, Variant, from_bytes, to_bytes};
pub use self::unpack::{Unpack, unpack, unpack_all};
pub use self::value::{Kind, Table, Value};
pub use self::view::{Array, Entries, TableRef, ValueRef, Values, values};
pub use self::wire::DEPTH_MAX;
