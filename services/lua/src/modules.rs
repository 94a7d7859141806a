//! The modules written in Rust, by name. [`module`](crate::module) describes how to add one.

use std::rc::Rc;

use mlua::{Lua, Value};

use crate::c_module;
use crate::cluster;
use crate::host::Host;
use crate::library::{crypt, debugchannel, memory, netpack, socketdriver, stm};
use crate::raw::state;
use crate::trace;

/// Creates the value of a module, once for each service that requires it.
type Open = fn(&Lua, &Rc<Host>) -> mlua::Result<Value>;

/// All modules by name.
const MODULES: &[(&str, Open)] = &[
    ("skynet.core", |lua, _| state::core_module(lua).map(Value::Table)),
    ("skynet.codecache", |lua, _| {
        state::code_cache_module(lua).map(Value::Table)
    }),
    ("skynet.cluster.core", cluster::open),
    ("skynet.profile", |lua, _| {
        state::profile_module(lua).map(Value::Table)
    }),
    ("skynet.crypt", crypt::open),
    ("client.crypt", crypt::open),
    ("skynet.debugchannel", debugchannel::open),
    ("skynet.netpack", netpack::open),
    ("skynet.socketdriver", socketdriver::open),
    ("skynet.memory", memory::open),
    ("skynet.mongo.driver", |lua, _| {
        state::mongo_module(lua).map(Value::Table)
    }),
    ("skynet.stm.core", stm::open),
    ("skyring.c_module", c_module::open),
    ("skyring.trace.core", trace::open),
    ("skyring.shared", |lua, _| {
        state::shared_module(lua).map(Value::Table)
    }),
    ("skyring.launches", |lua, _| {
        state::launches_module(lua).map(Value::Table)
    }),
    ("skyring.host", |lua, _| state::host_module(lua).map(Value::Table)),
];

/// The module of this name.
pub(crate) fn find(name: &str) -> Option<Open> {
    MODULES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, open)| *open)
}
