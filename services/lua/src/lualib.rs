//! The library in Lua that is built into the program: modules that `require` finds, and services.
//! [`module`](crate::module) describes how to add one.

use std::sync::OnceLock;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua};

/// A file of the library.
pub(crate) struct File {
    name: &'static str,
    /// The path in this crate, for tracebacks.
    path: &'static str,
    text: &'static str,
    precedence: Precedence,
    /// Whether it is loaded when its table is first used, not when it is required.
    is_deferred: bool,
    /// Its bytecode, once a service of this process has used it.
    compiled: &'static OnceLock<Vec<u8>>,
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

impl File {
    /// Whether the file is loaded when its table is first used, not when it is required.
    pub(crate) fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    const fn deferred(mut self) -> File {
        self.is_deferred = true;
        self
    }
}

macro_rules! file {
    ($name:literal, $path:literal, $precedence:ident) => {{
        static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();
        File {
            name: $name,
            path: concat!("@skyring/", $path),
            text: include_str!(concat!("../", $path)),
            precedence: Precedence::$precedence,
            is_deferred: false,
            compiled: &COMPILED,
        }
    }};
}

/// The chunk that every interpreter runs first.
pub(crate) static INIT: File = file!("init", "lualib/init.lua", Always);

/// Modules.
static MODULES: &[File] = &[
    file!("skynet", "lualib/skynet.lua", Library),
    file!("skynet.manager", "lualib/skynet/manager.lua", Library),
    file!("skynet.debug", "lualib/skynet/debug.lua", Library),
    file!("skynet.response", "lualib/skynet/response.lua", Library),
    file!("skynet.missing", "lualib/skynet/missing.lua", Library),
    file!("skynet.infrequent", "lualib/skynet/infrequent.lua", Library),
    file!("skynet.cluster", "lualib/skynet/cluster.lua", Always).deferred(),
    file!("skynet.inject", "lualib/skynet/inject.lua", Library),
    file!("skynet.injectcode", "lualib/skynet/injectcode.lua", Library),
    file!("skynet.remotedebug", "lualib/skynet/remotedebug.lua", Library),
    file!(
        "skynet.console.output",
        "lualib/skynet/console/output.lua",
        Always
    ),
    file!(
        "skynet.console.connection",
        "lualib/skynet/console/connection.lua",
        Always
    ),
    file!("skynet.console.http", "lualib/skynet/console/http.lua", Always),
    file!(
        "skynet.console.debugger",
        "lualib/skynet/console/debugger.lua",
        Always
    ),
    file!("skynet.stm", "lualib/skynet/stm.lua", Always),
    file!("skynet.harbor", "lualib/skynet/harbor.lua", Library),
    file!("skynet.queue", "lualib/skynet/queue.lua", Library),
    file!("skynet.coroutine", "lualib/skynet/coroutine.lua", Library),
    file!("skynet.service", "lualib/skynet/service.lua", Library),
    file!("skynet.requests", "lualib/skynet/requests.lua", Library),
    file!("skynet.traces", "lualib/skynet/traces.lua", Library),
    file!("skynet.require", "lualib/skynet/require.lua", Library),
    file!("skynet.require_late", "lualib/skynet/require_late.lua", Library),
    file!("skynet.socket", "lualib/skynet/socket.lua", Library).deferred(),
    file!("skyring.c_modules", "lualib/skyring/c_modules.lua", Always),
    file!("skyring.trace", "lualib/skyring/trace.lua", Always),
    file!("skynet.socketchannel", "lualib/skynet/socketchannel.lua", Library),
    file!("skynet.datacenter", "lualib/skynet/datacenter.lua", Always),
    file!("skynet.multicast", "lualib/skynet/multicast.lua", Always),
    file!("skynet.sharedata", "lualib/skynet/sharedata.lua", Always),
    file!("skynet.sharetable", "lualib/skynet/sharetable.lua", Always),
    file!("skynet.followers", "lualib/skynet/followers.lua", Always),
    file!("skynet.datasheet", "lualib/skynet/datasheet/init.lua", Always),
    file!(
        "skynet.datasheet.builder",
        "lualib/skynet/datasheet/builder.lua",
        Always
    ),
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

/// Loads a file as a Lua function. It is compiled once in a process.
///
/// A release build leaves out names of variables and numbers of lines, a third of a file's memory in each service.
///
/// # Errors
/// When memory runs out.
pub(crate) fn load(lua: &Lua, file: &'static File) -> mlua::Result<Function> {
    let code = match file.compiled.get() {
        Some(code) => code,
        None => {
            let function = lua.load(file.text).set_name(file.path).into_function()?;
            let code = function.dump(!cfg!(debug_assertions));
            // Another shard may have compiled it meanwhile; its code is the same.
            file.compiled.get_or_init(|| code)
        }
    };
    lua.load(code.as_slice())
        .set_mode(ChunkMode::Binary)
        .set_name(file.path)
        .into_function()
}
