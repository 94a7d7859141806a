//! lua-seri: Lua values to bytes and back, as Skynet's `skynet.pack` writes and reads them.
//!
//! A payload is a sequence of values, nothing before, between or after them; an empty payload is no
//! values. Three ways in and out, by what the caller knows:
//!
//! - types known and hot: [`pack_into`] and [`unpack`] with tuples, which borrow and do not allocate;
//! - types known and rich: [`to_bytes`] and [`from_bytes`], through serde;
//! - types unknown: [`Value`], with [`pack`] and [`unpack_all`], or [`values`] to walk without copying.
//!
//! # Invariants
//!
//! - What is packed here is byte for byte what Skynet packs for the same values.
//! - What Skynet packs is read here, light userdata excepted: a pointer means nothing to another process.
//! - Values lie inside at most [`DEPTH_MAX`] tables, on the way out and on the way in.
//! - Reading never panics, and reserves memory by what has been read, never by what was declared.

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
pub use self::serde::{SerdeError, from_bytes, to_bytes};
pub use self::unpack::{Unpack, unpack, unpack_all};
pub use self::value::{Kind, Table, Value};
pub use self::view::{Array, Entries, TableRef, ValueRef, Values, values};
pub use self::wire::DEPTH_MAX;
