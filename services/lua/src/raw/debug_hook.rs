//! `sethook` of `skynet.debugchannel`: like `debug.sethook`, but the coroutine yields if the function of the hook returns
//! true, so that a service can be stepped through.

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi::*;

use super::{State, string};

/// Its address is the key of a table in the registry: the functions of hooks by coroutine.
static HOOKS: u8 = 0;

/// The names of the events, by their numbers.
const EVENTS: [&CStr; 5] = [c"call", c"return", c"line", c"count", c"tail call"];

fn key() -> *const c_void {
    (&raw const HOOKS).cast()
}

/// `sethook([coroutine,] [function, mask [, count]])`
pub(super) unsafe extern "C-unwind" fn sethook(state: State) -> c_int {
    unsafe {
        let (thread, first) = match lua_type(state, 1) {
            LUA_TTHREAD => (lua_tothread(state, 1), 1),
            _ => (state, 0),
        };
        let (mut mask, mut count) = (0, 0);
        if lua_type(state, first + 1) <= LUA_TNIL {
            lua_settop(state, first + 1);
        } else {
            luaL_checktype(state, first + 1, LUA_TFUNCTION);
            luaL_checktype(state, first + 2, LUA_TSTRING);
            count = luaL_optinteger(state, first + 3, 0).clamp(0, c_int::MAX.into()) as c_int;
            for letter in string(state, first + 2).unwrap_or_default() {
                mask |= match letter {
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
        luaL_checkstack(state, 4, std::ptr::null());
        if lua_rawgetp(state, LUA_REGISTRYINDEX, key()) != LUA_TTABLE {
            lua_pop(state, 1);
            lua_createtable(state, 0, 2);
            // An ended coroutine is forgotten.
            lua_pushstring(state, c"k".as_ptr());
            lua_setfield(state, -2, c"__mode".as_ptr());
            lua_pushvalue(state, -1);
            lua_setmetatable(state, -2);
            lua_pushvalue(state, -1);
            lua_rawsetp(state, LUA_REGISTRYINDEX, key());
        }
        if thread == state {
            lua_pushthread(state);
        } else {
            lua_pushvalue(state, 1);
        }
        lua_pushvalue(state, first + 1);
        lua_rawset(state, -3);
        lua_sethook(thread, (mask != 0).then_some(hook as lua_Hook), mask, count);
        0
    }
}

unsafe extern "C-unwind" fn hook(state: State, debug: *mut lua_Debug) {
    unsafe {
        if lua_rawgetp(state, LUA_REGISTRYINDEX, key()) != LUA_TTABLE {
            return;
        }
        lua_pushthread(state);
        if lua_rawget(state, -2) != LUA_TFUNCTION {
            return;
        }
        let event = usize::try_from((*debug).event).unwrap_or(usize::MAX);
        lua_pushstring(state, EVENTS.get(event).unwrap_or(&c"unknown").as_ptr());
        match (*debug).currentline {
            line if line >= 0 => lua_pushinteger(state, line.into()),
            _ => lua_pushnil(state),
        }
        lua_call(state, 2, 1);
        let yields = lua_toboolean(state, -1) != 0;
        lua_pop(state, 1);
        if yields {
            if lua_isyieldable(state) == 0 {
                luaL_error(state, c"a hook cannot stop here: this is no coroutine".as_ptr());
            }
            lua_yield(state, 0);
        }
    }
}
