//! The Lua host: Skynet-style services in Lua, each with its own interpreter, on Skyring's shards.
//!
//! A service is launched by its kind, `snlua`, with the name of its file and its arguments, as in Skynet:
//! `snlua main a b`. The built-in `bootstrap` launches the launcher and the config's `start`.
//!
//! The parts: `service` implements the engine's service trait; `host` holds the state of a service outside its
//! interpreter; `raw` passes messages in and out through Lua's C interface; `lualib` is the built-in library in Lua;
//! [`module`] describes how to add a module.
//!
//! Invariants: only its own shard touches an interpreter, and only while it handles a message or an answer of that
//! service; every call is answered exactly once, with an error if the service does not answer; addresses of messages
//! that a Lua program passes never reach memory outside that message.

mod arguments;
mod buffer;
mod c_module;
mod cluster;
mod code;
mod command;
mod harbor;
mod host;
mod kind;
mod launches;
mod library;
mod lualib;
mod memory;
mod message_logs;
pub mod module;
mod modules;
mod node;
#[expect(
    unsafe_code,
    reason = "it calls Lua's C interface; the module documentation states why that is sound"
)]
mod raw;
mod samples;
mod service;
mod shared_table;
mod threads;
mod trace;
mod watch;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skyring::Kinds;
use skyring::config::NodeConfig;

use harbor::Harbor;
use node::NodeLua;
use service::SnLua;

/// The limits of the Lua host.
pub mod limits {
    pub use crate::buffer::BUFFERS_MAX;
    pub use crate::c_module::{MODULE_BYTES_MAX, MODULES_EXAMINED_MAX};
    pub use crate::code::{CODE_BYTES_MAX, CODE_FILES_MAX};
    pub use crate::host::{HELD_CALLS_MAX, ROUTES_MAX};
    pub use crate::library::debugchannel::{CHANNEL_BYTES_MAX, CHANNELS_MAX};
    pub use crate::library::netpack::NETPACK_BYTES_MAX;
    pub use crate::library::stm::STM_OBJECTS_MAX;
    pub use crate::memory::ENDED_BEFORE_RELEASE;
    pub use crate::message_logs::MESSAGE_LOGS_MAX;
    pub use crate::node::ENVIRONMENT_KEYS_MAX;
    pub use crate::raw::pack::{NESTING_MAX, PACKED_BYTES_MAX};
    pub use crate::raw::unpack::ITEMS_AT_ONCE_MAX;
    pub use crate::service::EARLY_MESSAGES_MAX;
    pub use crate::shared_table::{SHARED_BYTES_MAX, SHARED_NAMES_MAX, SHARED_NESTING_MAX};
    pub use crate::threads::IDLE_THREADS_MAX;
    pub use crate::watch::ENDLESS_MAX;
}

pub use c_module::LUA_VERSION;
pub use host::REMOTE_SOURCE;
pub use memory::set_memory_release;

/// Adds the kinds `snlua`, whose services share one environment, and `harbor`, which Skynet's own bootstrap expects.
/// Use the result for one node only.
pub fn add_kinds(kinds: Kinds) -> Kinds {
    let node = Arc::new(NodeLua::new());
    kinds
        .add("snlua", move |arguments| {
            Ok(SnLua::new(Arc::clone(&node), arguments))
        })
        .hosts("snlua")
        .add("harbor", |_| Ok(Harbor))
}

/// How the first service of a node is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// `start` names a kind of the program, or there is no first service.
    Native,
    /// The config's `bootstrap` starts it, in Lua.
    Lua,
    /// `start` is not a kind of the program, and none of these files exists.
    Missing(Vec<PathBuf>),
}

/// Decides how the config's first service is started. Its name is the first token of `start`; without `start` it is `main`
/// if the config sets a path of Lua files, and else there is none.
///
/// It is started in Lua if its file is found on `luaservice` or the config sets its own `bootstrap`; else natively if it is
/// a kind of the program; else in Lua if the config's own `lualoader` exists.
pub fn first_service(config: &NodeConfig, kinds: &Kinds) -> First {
    let configures_lua =
        config.luaservice.is_some() || config.lua_path.is_some() || config.lualoader.is_some();
    let first = config
        .start
        .as_deref()
        .and_then(|start| start.split_whitespace().next());
    let Some(first) = first.or_else(|| configures_lua.then_some("main")) else {
        return First::Native;
    };
    let files = service_files(config, first);
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

/// The files in which a service in Lua of this name is searched, by the config's `luaservice`.
pub fn service_files(config: &NodeConfig, name: &str) -> Vec<PathBuf> {
    let templates = config
        .luaservice
        .as_deref()
        .unwrap_or(OsStr::new("./service/?.lua"));
    let templates = templates.as_bytes().split(|byte| *byte == b';');
    let files = templates.filter(|template| !template.is_empty()).map(|template| {
        let parts: Vec<&[u8]> = template.split(|byte| *byte == b'?').collect();
        PathBuf::from(OsString::from_vec(parts.join(name.as_bytes())))
    });
    files.collect()
}

/// The default of the config's `bootstrap`.
const BOOTSTRAP: &str = "snlua bootstrap";
