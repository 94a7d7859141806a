//! The modules written in Rust, by name. [`module`](crate::module) says how to add one.

use mlua::{Lua, Value};

use crate::cluster;
use crate::library::{crypt, netpack, socketdriver};
use crate::raw::state;

/// Gives the module's value, once for each service that asks for it.
type Open = fn(&Lua) -> mlua::Result<Value>;

/// All of them.
const MODULES: &[(&str, Open)] = &[
    ("skynet.core", |lua| state::core_module(lua).map(Value::Table)),
    ("skynet.cluster.core", cluster::open),
    ("skynet.profile", |lua| {
        state::profile_module(lua).map(Value::Table)
    }),
    ("skynet.crypt", crypt::open),
    ("client.crypt", crypt::open),
    ("skynet.netpack", netpack::open),
    ("skynet.socketdriver", socketdriver::open),
    ("skyring.host", |lua| state::host_module(lua).map(Value::Table)),
];

/// The module of that name.
pub(crate) fn find(name: &str) -> Option<Open> {
    MODULES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, open)| *open)
}
