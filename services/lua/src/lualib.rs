//! The library in Lua that is built into the program: modules that `require` finds, and services.
//! [`module`](crate::module) says how to add one.

use std::cell::RefCell;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua};
use rustc_hash::FxHashMap;

/// A file of the library.
pub(crate) struct File {
    name: &'static str,
    /// Where it stands in this crate, for tracebacks.
    path: &'static str,
    text: &'static str,
    /// Whether it is ours even where the user has Skynet's own library.
    always: bool,
}

macro_rules! file {
    ($name:literal, $path:literal, $always:literal) => {
        File {
            name: $name,
            path: concat!("@skyring/", $path),
            text: include_str!(concat!("../", $path)),
            always: $always,
        }
    };
}

/// What every state begins with.
pub(crate) static INIT: File = file!("init", "lualib/init.lua", true);

/// Modules. The third value says whether it is ours even with `builtin_lualib = false`.
static MODULES: &[File] = &[
    file!("skynet", "lualib/skynet.lua", false),
    file!("skynet.manager", "lualib/skynet/manager.lua", false),
    file!("skynet.debug", "lualib/skynet/debug.lua", false),
    file!("skynet.cluster", "lualib/skynet/cluster.lua", true),
    file!("skynet.codecache", "lualib/skynet/codecache.lua", true),
    file!("skynet.queue", "lualib/skynet/queue.lua", false),
    file!("skynet.coroutine", "lualib/skynet/coroutine.lua", false),
    file!("skynet.service", "lualib/skynet/service.lua", false),
    file!("skynet.requests", "lualib/skynet/requests.lua", false),
    file!("skynet.traces", "lualib/skynet/traces.lua", false),
    file!("skynet.require", "lualib/skynet/require.lua", false),
];

/// Services.
static SERVICES: &[File] = &[
    file!("bootstrap", "service/bootstrap.lua", false),
    file!("clusterd", "service/clusterd.lua", true),
    file!("service_mgr", "service/service_mgr.lua", false),
    file!("service_provider", "service/service_provider.lua", false),
    file!("service_cell", "service/service_cell.lua", false),
    file!("launcher", "service/launcher.lua", false),
];

/// The module of that name. `builtin`: whether our library comes before the user's.
pub(crate) fn module(name: &str, builtin: bool) -> Option<&'static File> {
    MODULES
        .iter()
        .find(|file| file.name == name && (builtin || file.always))
}

/// The service of that name.
pub(crate) fn service(name: &str, builtin: bool) -> Option<&'static File> {
    SERVICES
        .iter()
        .find(|file| file.name == name && (builtin || file.always))
}

thread_local! {
    /// Files that this shard has compiled before, as the interpreter's own code.
    static COMPILED: RefCell<FxHashMap<&'static str, Vec<u8>>> = RefCell::default();
}

/// A file as a function.
///
/// # Errors
/// When there is no memory for it.
pub(crate) fn load(lua: &Lua, file: &'static File) -> mlua::Result<Function> {
    let compiled = COMPILED.with_borrow(|compiled| compiled.get(file.path).cloned());
    if let Some(code) = compiled {
        return lua
            .load(code)
            .set_mode(ChunkMode::Binary)
            .set_name(file.path)
            .into_function();
    }
    let function = lua.load(file.text).set_name(file.path).into_function()?;
    let code = function.dump(false);
    COMPILED.with_borrow_mut(|compiled| compiled.insert(file.path, code));
    Ok(function)
}
