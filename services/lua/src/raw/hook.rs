//! Hooks of single coroutines, for `skynet.debugchannel`: a hook may stop its coroutine at a line until the debugger
//! continues it.

use std::ffi::{CStr, c_int};

use mlua::ffi::*;

use super::{State, host, string};
use crate::host::Host;

/// The functions of this file for the module.
const FUNCTIONS: [(&CStr, lua_CFunction); 2] = [(c"sethook", set_hook), (c"resume", resume)];

/// The key in the registry of the table that holds the hook of each coroutine.
static HOOKS: u8 = 0;

/// Adds the functions to the table on top of the stack.
///
/// # Safety
/// As for [`add_functions`](super::add_functions).
pub(super) unsafe fn add_to_module(state: State, host: *const Host) {
    unsafe { super::add_functions(state, host, &FUNCTIONS) }
}

/// Pushes the table of hooks, whose keys are weak, and creates it at first.
///
/// # Safety
/// `state` runs in protected mode.
unsafe fn push_hooks(state: State) {
    unsafe {
        let key = (&raw const HOOKS).cast();
        if lua_rawgetp(state, LUA_REGISTRYINDEX, key) == LUA_TTABLE {
            return;
        }
        lua_pop(state, 1);
        lua_createtable(state, 0, 1);
        lua_createtable(state, 0, 1);
        lua_pushstring(state, c"k".as_ptr());
        lua_setfield(state, -2, c"__mode".as_ptr());
        lua_setmetatable(state, -2);
        lua_pushvalue(state, -1);
        lua_rawsetp(state, LUA_REGISTRYINDEX, key);
    }
}

/// `sethook([coroutine,] [function, mask [, count]])`: as `debug.sethook`, but a hook that returns true for a line or a
/// count stops its coroutine.
unsafe extern "C-unwind" fn set_hook(state: State) -> c_int {
    unsafe {
        let (target, first) = match lua_type(state, 1) {
            LUA_TTHREAD => (lua_tothread(state, 1), 2),
            _ => (state, 1),
        };
        let mut mask = 0;
        let mut count = 0;
        if lua_type(state, first) > LUA_TNIL {
            luaL_checktype(state, first, LUA_TFUNCTION);
            luaL_checktype(state, first + 1, LUA_TSTRING);
            count = c_int::try_from(luaL_optinteger(state, first + 2, 0))
                .unwrap_or(0)
                .max(0);
            for byte in string(state, first + 1).unwrap_or_default() {
                mask |= match byte {
                    b'c' => LUA_MASKCALL,
                    b'r' => LUA_MASKRET,
                    b'l' => LUA_MASKLINE,
                    _ => 0,
                };
            }
            if count > 0 {
                mask |= LUA_MASKCOUNT;
            }
        }
        lua_settop(state, first);
        luaL_checkstack(state, 6, std::ptr::null());
        push_hooks(state);
        if target == state {
            lua_pushthread(state);
        } else {
            // It is the argument.
            lua_pushvalue(state, 1);
        }
        lua_pushvalue(state, first);
        lua_rawset(state, -3);
        let hook: lua_Hook = run_hook;
        lua_sethook(target, (mask != 0).then_some(hook), mask, count);
        0
    }
}

/// Calls the hook of the coroutine that runs, with the name of the event and the line.
unsafe extern "C-unwind" fn run_hook(state: State, event: *mut lua_Debug) {
    unsafe {
        let event = &*event;
        if lua_checkstack(state, 6) == 0 {
            return;
        }
        push_hooks(state);
        lua_pushthread(state);
        if lua_rawget(state, -2) != LUA_TFUNCTION {
            // A new coroutine inherits the hook of the coroutine that creates it, but has none in the table.
            lua_pop(state, 2);
            lua_sethook(state, None, 0, 0);
            return;
        }
        let name = match event.event {
            LUA_HOOKCALL => c"call",
            LUA_HOOKRET => c"return",
            LUA_HOOKLINE => c"line",
            LUA_HOOKCOUNT => c"count",
            _ => c"tail call",
        };
        lua_pushstring(state, name.as_ptr());
        if event.currentline >= 0 {
            lua_pushinteger(state, lua_Integer::from(event.currentline));
        } else {
            lua_pushnil(state);
        }
        lua_call(state, 2, 1);
        let stops = lua_toboolean(state, -1) != 0;
        lua_pop(state, 2);
        // Lua permits a yield only in these two events.
        let may_stop = matches!(event.event, LUA_HOOKLINE | LUA_HOOKCOUNT) && lua_isyieldable(state) != 0;
        if stops && may_stop {
            stop(state);
        }
    }
}

/// Suspends the coroutine that runs. One that the host runs waits for [`resume`]; any other yields to the function in Lua
/// that resumed it.
///
/// # Safety
/// `state` runs a hook in which it may yield.
unsafe fn stop(state: State) {
    unsafe {
        lua_getfield(state, LUA_REGISTRYINDEX, c"skynet_context".as_ptr());
        let host = &*lua_touserdata(state, -1).cast::<Host>();
        lua_pop(state, 1);
        let id = host.running.get();
        let is_of_host = host.thread(id).is_some_and(|thread| thread.state == state);
        if is_of_host {
            host.stopped.borrow_mut().insert(id);
            host.yielded_to_host.set(true);
        }
        lua_yieldk(state, 0, 0, None);
    }
}

/// `resume(coroutine)`: continues a coroutine that its hook has stopped, after the current message has been handled;
/// false if it is not stopped.
unsafe extern "C-unwind" fn resume(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTHREAD);
        let host = host(state);
        let id = host.threads.borrow().find(lua_tothread(state, 1));
        let stopped = id.filter(|id| host.stopped.borrow_mut().remove(id));
        if let Some(id) = stopped {
            host.forks.borrow_mut().push_back(id);
        }
        lua_pushboolean(state, c_int::from(stopped.is_some()));
        1
    }
}
