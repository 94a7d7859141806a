//! The interpreter of a service: creates it, adds its modules, and passes messages to it.

use std::cell::Cell;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use mlua::ffi::*;
use mlua::{Lua, LuaOptions, MultiValue, StdLib, Table};
use skyring::{Error, Payload};

use super::{State, core, dispatch, hook, launches, load, mongo, native, profile, shared, signal, spare};
use crate::host::{Host, Mode};

/// The interpreter of one service, with its host.
pub(crate) struct Interpreter {
    // Dropped in this order: the host outlives the interpreter.
    lua: Lua,
    host: Rc<Host>,
    /// Whether it handles a message or an answer.
    busy: Cell<bool>,
    /// Whether garbage is collected after the next answer.
    is_collection_due: Cell<bool>,
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.host.is_closing.set(true);
        spare::give_up();
    }
}

impl Interpreter {
    /// Obtains an interpreter with all of Lua's libraries for a service.
    ///
    /// # Errors
    /// When memory runs out.
    pub(crate) fn open(host: Rc<Host>) -> mlua::Result<Interpreter> {
        signal::prepare(&host.activity);
        let interpreter = Interpreter {
            lua: spare::obtain()?,
            host,
            busy: Cell::new(false),
            is_collection_due: Cell::new(false),
        };
        // SAFETY: the fields of an `Interpreter` are dropped in order, and `lua` is lent by reference only.
        unsafe { bind(&interpreter.lua, &interpreter.host) }?;
        Ok(interpreter)
    }

    pub(crate) fn lua(&self) -> &Lua {
        &self.lua
    }

    pub(crate) fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Handles one message. A call is answered later, by `source` and `session`.
    pub(crate) fn message(&self, kind: u8, source: u32, session: u32, payload: Payload) {
        // SAFETY: the interpreter is alive, and `run_exclusive` ensures that it handles nothing else.
        self.run_exclusive(source, |host| unsafe {
            dispatch::message(host, kind, source, session, payload)
        });
    }

    /// Passes on the answer to the call or operation with this session.
    pub(crate) fn answer(&self, session: u32, result: Result<Payload, Error>) {
        // SAFETY: as in `message`.
        self.run_exclusive(0, |host| unsafe {
            dispatch::answer(host, session, result);
            if self.is_collection_due.take() {
                collect_after_start(&self.lua);
            }
        });
    }

    /// Collects garbage once the service has started, and is called when its file has run: the function that it gave to
    /// `skynet.start` runs with the next answer, and leaves garbage too.
    pub(crate) fn collect_when_started(&self) {
        match self.host.mode.get() {
            Mode::Native => self.is_collection_due.set(true),
            Mode::Callback { .. } | Mode::Inactive => collect_after_start(&self.lua),
        }
    }

    /// Runs work in the interpreter, and records its time.
    ///
    /// # Panics
    /// When the service already handles a message, which the engine excludes.
    pub(crate) fn run_exclusive<R>(&self, source: u32, work: impl FnOnce(&Host) -> R) -> R {
        assert!(
            !self.busy.replace(true),
            "a service handles one message at a time"
        );
        let host = &*self.host;
        let started = quanta::Instant::now();
        host.message_started.set(started);
        host.activity
            .begin_message(host.caller.handle(), source, host.main.get());
        let result = work(host);
        host.activity.end_message();
        // Lua 5.5 does not count long texts, which its own figure therefore leaves out.
        host.memory.store(self.lua.used_memory(), Ordering::Relaxed);
        self.busy.set(false);
        host.handling_time
            .set(host.handling_time.get() + started.elapsed());
        host.report_overload();
        result
    }
}

/// Makes an interpreter with all of Lua's libraries, for any service.
pub(super) fn make() -> mlua::Result<Lua> {
    // Services are trusted programs: they may load modules in C and use `debug`. Without this option mlua replaces
    // `pcall` and `xpcall` by versions that cannot yield.
    let options = LuaOptions::new().catch_rust_panics(true);
    // SAFETY: the closure runs in protected mode, and no function that needs a host is called before `bind`.
    unsafe {
        let lua = Lua::unsafe_new_with(StdLib::ALL, options);
        lua.exec_raw::<()>((), |state: State| {
            // As in Skynet, libraries ignore the environment variables.
            lua_pushboolean(state, 1);
            lua_setfield(state, LUA_REGISTRYINDEX, c"LUA_NOENV".as_ptr());
            profile::replace(state);
            load::replace(state);
            shared::replace(state);
            // Little of what is created while a service starts becomes garbage, so the collector begins at ten times the
            // memory of the libraries, and `collect_when_started` collects. The pause applies from the end of a collection.
            lua_gc(state, LUA_GCINC, 1000, 0, 0);
            lua_gc(state, LUA_GCCOLLECT);
            lua_gc(state, LUA_GCINC, 200, 0, 0);
        })?;
        Ok(lua)
    }
}

/// Gives an interpreter to a service, before it has created a coroutine.
///
/// # Safety
/// The interpreter is dropped before the host.
unsafe fn bind(lua: &Lua, host: &Rc<Host>) -> mlua::Result<()> {
    let pointer: *const Host = Rc::as_ptr(host);
    unsafe {
        lua.exec_raw::<()>((), |state: State| {
            lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
            let main = lua_tothread(state, -1);
            lua_pop(state, 1);
            (*pointer).main.set(main);
            lua_getextraspace(main).cast::<*const Host>().write(pointer);
            lua_pushlightuserdata(state, pointer as *mut c_void);
            lua_setfield(state, LUA_REGISTRYINDEX, c"skynet_context".as_ptr());
        })
    }
}

/// Collects garbage. The collector is generational from then on.
fn collect_after_start(lua: &Lua) {
    // SAFETY: the call is protected.
    let collected = unsafe {
        lua.exec_raw::<()>((), |state: State| {
            lua_gc(state, LUA_GCGEN, 0, 0);
        })
    };
    // The only possible error is one of memory: the next allocation collects.
    drop(collected);
}

/// The module `skynet.core`.
pub(crate) fn core_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: the call is protected, and `open` created the interpreter.
    unsafe { lua.exec_raw((), |state| core::push_module(state)) }
}

/// The module `skyring.host`.
pub(crate) fn host_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| native::push_module(state)) }
}

/// The module `skyring.launches`.
pub(crate) fn launches_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| launches::push_module(state)) }
}

/// The module `skynet.profile`.
pub(crate) fn profile_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| profile::push_module(state)) }
}

/// The module `skynet.codecache`.
pub(crate) fn code_cache_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| load::push_module(state)) }
}

/// The module `skyring.shared`.
pub(crate) fn shared_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| shared::push_module(state)) }
}

/// Adds the functions for hooks to the module `skynet.debugchannel`, and returns it.
pub(crate) fn hook_module(lua: &Lua, module: Table) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw(module, |state| hook::add_to_module(state)) }
}

/// The module `skynet.mongo.driver`.
pub(crate) fn mongo_module(lua: &Lua) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw((), |state| mongo::push_module(state)) }
}

/// Adds the frequent functions to the module `skynet.cluster.core`, and returns it.
pub(crate) fn cluster_module(lua: &Lua, module: Table) -> mlua::Result<Table> {
    // SAFETY: as for `core_module`.
    unsafe { lua.exec_raw(module, |state| super::cluster::add_to_module(state)) }
}

/// Calls a function.
///
/// # Errors
/// The text of the error with a traceback.
pub(crate) fn call(lua: &Lua, function: mlua::Function, arguments: MultiValue) -> Result<(), Vec<u8>> {
    let mut values = arguments;
    values.push_front(mlua::Value::Function(function));
    let count = values.len() as i32 - 1;
    let mut failed = false;
    // SAFETY: the closure runs in protected mode with the values on its stack; what it calls leaves one value.
    let result = unsafe {
        let failed = &raw mut failed;
        lua.exec_raw::<Option<mlua::LuaString>>(values, |state| {
            lua_pushcfunction(state, dispatch::add_traceback);
            lua_insert(state, 1);
            if lua_pcall(state, count, 0, 1) == LUA_OK {
                lua_settop(state, 0);
                return;
            }
            *failed = true;
            luaL_tolstring(state, -1, std::ptr::null_mut());
            lua_insert(state, 1);
            lua_settop(state, 1);
        })
    };
    match result {
        Ok(Some(text)) if failed => Err(text.as_bytes().to_vec()),
        Ok(_) if failed => Err(b"an error without a text".to_vec()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into_bytes()),
    }
}
