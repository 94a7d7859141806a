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
    place: Place,
}

/// Whether a file comes before one of that name on the user's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It does.
    Always,
    /// It does unless the config says `builtin_lualib = false`; then it stands in for one that is not there.
    Library,
    /// It stands in for one that is not there: users have their own of that name.
    Last,
}

macro_rules! file {
    ($name:literal, $path:literal, $place:ident) => {
        File {
            name: $name,
            path: concat!("@skyring/", $path),
            text: include_str!(concat!("../", $path)),
            place: Place::$place,
        }
    };
}

/// What every state begins with.
pub(crate) static INIT: File = file!("init", "lualib/init.lua", Always);

/// Modules.
static MODULES: &[File] = &[
    file!("skynet", "lualib/skynet.lua", Library),
    file!("skynet.manager", "lualib/skynet/manager.lua", Library),
    file!("skynet.debug", "lualib/skynet/debug.lua", Library),
    file!("skynet.cluster", "lualib/skynet/cluster.lua", Always),
    file!("skynet.codecache", "lualib/skynet/codecache.lua", Always),
    file!("skynet.queue", "lualib/skynet/queue.lua", Library),
    file!("skynet.coroutine", "lualib/skynet/coroutine.lua", Library),
    file!("skynet.service", "lualib/skynet/service.lua", Library),
    file!("skynet.requests", "lualib/skynet/requests.lua", Library),
    file!("skynet.traces", "lualib/skynet/traces.lua", Library),
    file!("skynet.require", "lualib/skynet/require.lua", Library),
    file!("skynet.socket", "lualib/skynet/socket.lua", Library),
    file!("skynet.socketchannel", "lualib/skynet/socketchannel.lua", Library),
    file!("skynet.datacenter", "lualib/skynet/datacenter.lua", Always),
    file!("skynet.multicast", "lualib/skynet/multicast.lua", Always),
    file!("skynet.sharedata", "lualib/skynet/sharedata.lua", Always),
    file!("skynet.sharetable", "lualib/skynet/sharetable.lua", Always),
    file!("snax.gateserver", "lualib/snax/gateserver.lua", Library),
];

/// Services.
static SERVICES: &[File] = &[
    file!("bootstrap", "service/bootstrap.lua", Library),
    file!("clusterd", "service/clusterd.lua", Always),
    file!("cdummy", "service/cdummy.lua", Library),
    file!("service_mgr", "service/service_mgr.lua", Library),
    file!("service_provider", "service/service_provider.lua", Library),
    file!("service_cell", "service/service_cell.lua", Library),
    file!("launcher", "service/launcher.lua", Library),
    file!("gate", "service/gate.lua", Last),
    file!("datacenterd", "service/datacenterd.lua", Always),
    file!("multicastd", "service/multicastd.lua", Always),
    file!("sharedatad", "service/sharedatad.lua", Always),
    file!("sharetabled", "service/sharetabled.lua", Always),
];

/// Which of our files are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All.
    All,
    /// Those that come before the user's.
    First,
    /// Those that are ours even with `builtin_lualib = false`.
    Always,
}

fn find(files: &'static [File], name: &str, wanted: Wanted) -> Option<&'static File> {
    let is_wanted = |file: &File| match wanted {
        Wanted::All => true,
        Wanted::First => file.place != Place::Last,
        Wanted::Always => file.place == Place::Always,
    };
    files.iter().find(|file| file.name == name && is_wanted(file))
}

/// The module of that name.
pub(crate) fn module(name: &str, wanted: Wanted) -> Option<&'static File> {
    find(MODULES, name, wanted)
}

/// The service of that name.
pub(crate) fn service(name: &str, wanted: Wanted) -> Option<&'static File> {
    find(SERVICES, name, wanted)
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
