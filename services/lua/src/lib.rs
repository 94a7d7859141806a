//! The Lua host: Skynet-style services in Lua, each with an interpreter of its own, on Skyring's shards.
//!
//! A service is launched by its kind, `snlua`, with the name of its file and its arguments, as in Skynet:
//! `snlua main a b`. `bootstrap`, which is built in, launches the launcher and the config's `start`.
//!
//! The parts: `service` is the service as the engine sees it; `host` is what is kept of it outside its
//! interpreter; `raw` has the ways of every message through Lua's C interface; `lualib` is the library in Lua
//! that is built in; [`module`] says how to add a module.
//!
//! Invariants: an interpreter is touched by its own shard alone, and only while one of its messages or answers
//! is handled; a call is answered once, if only by the news that nobody will; nothing that a program in Lua does
//! with addresses of messages reaches memory that is not the message's.

mod buffer;
mod cluster;
mod command;
mod harbor;
mod host;
mod library;
mod lualib;
pub mod module;
mod modules;
mod node;
#[expect(
    unsafe_code,
    reason = "the ways of every message through Lua's C interface; the module's page states why they are sound"
)]
mod raw;
mod service;
mod threads;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use skyring::Kinds;
use skyring::config::NodeConfig;

use harbor::Harbor;
use node::NodeLua;
use service::SnLua;

/// The bounds of the Lua host, each a named constant.
pub mod limits {
    pub use crate::buffer::BUFFERS_MAX;
    pub use crate::host::{HELD_CALLS_MAX, ROUTES_MAX};
    pub use crate::library::netpack::NETPACK_BYTES_MAX;
    pub use crate::node::ENVIRONMENT_KEYS_MAX;
    pub use crate::raw::pack::{NESTING_MAX, PACKED_BYTES_MAX};
    pub use crate::raw::unpack::ITEMS_AT_ONCE_MAX;
    pub use crate::threads::IDLE_THREADS_MAX;
    pub use crate::watch::ENDLESS_MAX;
}

pub use host::REMOTE_SOURCE;

/// Adds the kinds `snlua`, whose services share one environment, and `harbor`, which Skynet's own bootstrap
/// expects to be there. Use them for one node.
pub fn add_kinds(kinds: Kinds) -> Kinds {
    let node = Arc::new(NodeLua::new());
    kinds
        .add("snlua", move |arguments| {
            Ok(SnLua::new(Arc::clone(&node), arguments))
        })
        .add("harbor", |_| Ok(Harbor))
}

/// How a node's first service is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// `start` names a kind of the program, or there is none.
    Native,
    /// The config's `bootstrap` starts it, in Lua.
    Lua,
    /// It is no kind of the program, and no file in Lua is there: these were looked for.
    Missing(Vec<PathBuf>),
}

/// How the config's first service is started. It is one in Lua when its file is found on `luaservice`; else, when
/// the config says how Lua finds its files, `bootstrap` has its own way.
pub fn first_service(config: &NodeConfig, kinds: &Kinds) -> First {
    let says_lua = config.luaservice.is_some() || config.lua_path.is_some() || config.lualoader.is_some();
    let first = config
        .start
        .as_deref()
        .and_then(|start| start.split_whitespace().next());
    let Some(first) = first.or_else(|| says_lua.then_some("main")) else {
        return First::Native;
    };
    let templates = config.luaservice.as_deref().unwrap_or("./service/?.lua");
    let files: Vec<PathBuf> = templates
        .split(';')
        .filter(|template| !template.is_empty())
        .map(|template| PathBuf::from(template.replace('?', first)))
        .collect();
    let own_loader = config
        .lualoader
        .as_ref()
        .is_some_and(|loader| Path::new(loader).exists());
    if config.bootstrap != BOOTSTRAP || files.iter().any(|file| file.exists()) {
        First::Lua
    } else if kinds.names().any(|kind| kind == first) {
        First::Native
    } else if own_loader {
        First::Lua
    } else {
        First::Missing(files)
    }
}

/// What starts the other services unless the config says otherwise.
const BOOTSTRAP: &str = "snlua bootstrap";
