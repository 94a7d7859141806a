//! Tables that the services of a node share: one immutable copy in memory, however many services read it.
//!
//! `builder` makes a [`Tables`] from the values of a Lua table; `tables` looks keys up in it; `registry` holds the newest
//! version of each name. A service holds the versions that it reads by reference count, so an old version is freed when
//! the last service has dropped it. `raw::shared` shows them to Lua.

mod builder;
mod registry;
mod tables;

pub(crate) use builder::{BuildError, Builder};
pub use builder::{SHARED_BYTES_MAX, SHARED_NESTING_MAX};
pub use registry::SHARED_NAMES_MAX;
pub(crate) use registry::{Listed, SharedTables, Space};
pub(crate) use tables::{Key, Tables, Value};
