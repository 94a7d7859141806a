//! The library in Lua that is built into the program: modules that `require` finds, and services.
//! [`module`](crate::module) describes how to add one.

use std::cell::RefCell;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua};
use rustc_hash::FxHashMap;

/// A file of the library.
pub(crate) struct File {
    name: &'static str,
    /// The path in this crate, for tracebacks.
    path: &'static str,
    text: &'static str,
    precedence: Precedence,
}

/// Whether a built-in file takes precedence over a file of the same name on the user's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precedence {
    /// It always does.
    Always,
    /// It does unless the config sets `builtin_lualib = false`; then it is used only if the user has no such file.
    Library,
    /// It is used only if the user has no such file: programs often have their own file of this name.
    Fallback,
}

macro_rules! file {
    ($name:literal, $path:literal, $precedence:ident) => {
        File {
            name: $name,
            path: concat!("@skyring/", $path),
            text: include_str!(concat!("../", $path)),
            precedence: Precedence::$precedence,
        }
    };
}

/// The chunk that every interpreter runs first.
pub(crate) static INIT: File = file!("init", "lualib/init.lua", Always);

/// Modules.
static MODULES: &[File] = &[
    file!("skynet", "lualib/skynet.lua", Library),
    file!("skynet.manager", "lualib/skynet/manager.lua", Library),
    file!("skynet.debug", "lualib/skynet/debug.lua", Library),
    file!("skynet.inject", "lualib/skynet/inject.lua", Library),
    file!("skynet.injectcode", "lualib/skynet/injectcode.lua", Library),
    file!("skynet.remotedebug", "lualib/skynet/remotedebug.lua", Library),
    file!(
        "skynet.console.output",
        "lualib/skynet/console/output.lua",
        Always
    ),
    file!("skynet.console.http", "lualib/skynet/console/http.lua", Always),
    file!(
        "skynet.console.debugger",
        "lualib/skynet/console/debugger.lua",
        Always
    ),
    file!("skynet.cluster", "lualib/skynet/cluster.lua", Always),
    file!("skynet.stm", "lualib/skynet/stm.lua", Always),
    file!("skynet.codecache", "lualib/skynet/codecache.lua", Always),
    file!("skynet.harbor", "lualib/skynet/harbor.lua", Library),
    file!("skynet.queue", "lualib/skynet/queue.lua", Library),
    file!("skynet.coroutine", "lualib/skynet/coroutine.lua", Library),
    file!("skynet.service", "lualib/skynet/service.lua", Library),
    file!("skynet.requests", "lualib/skynet/requests.lua", Library),
    file!("skynet.traces", "lualib/skynet/traces.lua", Library),
    file!("skynet.require", "lualib/skynet/require.lua", Library),
    file!("skyring.c_modules", "lualib/skyring/c_modules.lua", Always),
    file!("skynet.socket", "lualib/skynet/socket.lua", Library),
    file!("skynet.socketchannel", "lualib/skynet/socketchannel.lua", Library),
    file!("skynet.datacenter", "lualib/skynet/datacenter.lua", Always),
    file!("skynet.multicast", "lualib/skynet/multicast.lua", Always),
    file!("skynet.sharedata", "lualib/skynet/sharedata.lua", Always),
    file!("skynet.sharetable", "lualib/skynet/sharetable.lua", Always),
    file!("skynet.snax", "lualib/skynet/snax.lua", Library),
    file!("snax.interface", "lualib/snax/interface.lua", Library),
    file!("snax.hotfix", "lualib/snax/hotfix.lua", Library),
    file!("snax.gateserver", "lualib/snax/gateserver.lua", Library),
];

/// Services.
static SERVICES: &[File] = &[
    file!("bootstrap", "service/bootstrap.lua", Library),
    file!("clusterd", "service/clusterd.lua", Always),
    file!("cdummy", "service/cdummy.lua", Library),
    file!("cslave", "service/cdummy.lua", Always),
    file!("cmaster", "service/cmaster.lua", Always),
    file!("service_mgr", "service/service_mgr.lua", Library),
    file!("service_provider", "service/service_provider.lua", Library),
    file!("service_cell", "service/service_cell.lua", Library),
    file!("launcher", "service/launcher.lua", Library),
    file!("snaxd", "service/snaxd.lua", Library),
    file!("debug_console", "service/debug_console.lua", Fallback),
    file!("gate", "service/gate.lua", Fallback),
    file!("datacenterd", "service/datacenterd.lua", Always),
    file!("multicastd", "service/multicastd.lua", Always),
    file!("sharedatad", "service/sharedatad.lua", Always),
    file!("sharetabled", "service/sharetabled.lua", Always),
];

/// Which built-in files a look-up considers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// All files.
    All,
    /// Those that take precedence over the user's files by default.
    BeforeUser,
    /// Those that take precedence even with `builtin_lualib = false`.
    AlwaysBuiltIn,
}

fn find(files: &'static [File], name: &str, lookup: Lookup) -> Option<&'static File> {
    let matches = |file: &File| match lookup {
        Lookup::All => true,
        Lookup::BeforeUser => file.precedence != Precedence::Fallback,
        Lookup::AlwaysBuiltIn => file.precedence == Precedence::Always,
    };
    files.iter().find(|file| file.name == name && matches(file))
}

/// The module of this name.
pub(crate) fn module(name: &str, lookup: Lookup) -> Option<&'static File> {
    find(MODULES, name, lookup)
}

/// The service of this name.
pub(crate) fn service(name: &str, lookup: Lookup) -> Option<&'static File> {
    find(SERVICES, name, lookup)
}

thread_local! {
    /// The bytecode of the files that this shard has already compiled, by path.
    static COMPILED: RefCell<FxHashMap<&'static str, Vec<u8>>> = RefCell::default();
}

/// Loads a file as a Lua function.
///
/// # Errors
/// When memory runs out.
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
