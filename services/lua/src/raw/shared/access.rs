//! Reading shared tables: the metamethods of proxies, and Lua's functions that do not heed metatables.

use std::ffi::{CStr, c_int};

use mlua::ffi::*;

use super::super::{State, host, string};
use super::proxy::{self, INDEX, UPVALUE_METATABLE, UPVALUE_PROXIES, UPVALUE_VERSION};
use super::{raise_at_caller, update};
use crate::shared_table::{Key, Tables};

/// The functions of a metatable besides `__index` and `__len`. They have no upvalues, which would take memory in each
/// service.
pub(super) const METAMETHODS: [(&CStr, lua_CFunction); 3] =
    [(c"__newindex", new_index), (c"__pairs", pairs), (c"__eq", eq)];

/// The functions that replace Lua's own.
pub(super) const REPLACED: [(&CStr, lua_CFunction); 4] = [
    (c"next", next),
    (c"rawget", raw_get),
    (c"rawlen", raw_len),
    (c"rawset", raw_set),
];

/// The upvalues of the function that `pairs` returns, after those of a metatable's functions.
const UPVALUE_NODE: c_int = 4;
const UPVALUE_SLOT: c_int = 5;

/// The key at `index`. `None`: no shared table has such a key.
///
/// # Safety
/// `index` is valid or beyond the top; the key stays on the stack.
#[inline]
unsafe fn key<'a>(state: State, index: c_int) -> Option<Key<'a>> {
    unsafe {
        match lua_type(state, index) {
            LUA_TSTRING => string(state, index).map(Key::Text),
            LUA_TNUMBER => {
                let mut is_integer = 0;
                let number = lua_tointegerx(state, index, &mut is_integer);
                if is_integer != 0 {
                    return Some(Key::Integer(number));
                }
                Some(Key::Number(lua_tonumberx(state, index, std::ptr::null_mut())))
            }
            LUA_TBOOLEAN => Some(Key::Boolean(lua_toboolean(state, index) != 0)),
            _ => None,
        }
    }
}

/// Version and index of the proxy that is the first argument of `__index` or `__len`. Raises an error if it is none.
///
/// # Safety
/// `state` runs one of these, and the caller has nothing to drop.
#[inline]
unsafe fn shared<'a>(state: State) -> (&'a Tables, u32) {
    unsafe {
        match (proxy::version(state), proxy::node(state, 1)) {
            (Some(tables), Some(node)) if tables.contains(node) => (tables, node),
            _ => {
                luaL_error(state, c"this is not a shared table".as_ptr());
                unreachable!("luaL_error does not return")
            }
        }
    }
}

/// `__index(table, key)`
pub(super) unsafe extern "C-unwind" fn index(state: State) -> c_int {
    unsafe {
        let (tables, node) = shared(state);
        let value = key(state, 2)
            .and_then(|key| tables.find(node, key))
            .and_then(|slot| tables.value(node, slot));
        match value {
            Some(value) => proxy::push_value(
                state,
                value,
                tables,
                lua_upvalueindex(UPVALUE_PROXIES),
                lua_upvalueindex(UPVALUE_METATABLE),
            ),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `__newindex(table, key, value)`
unsafe extern "C-unwind" fn new_index(state: State) -> c_int {
    unsafe {
        match parts(state) {
            Some((tables, node)) => refuse_write(state, tables, node),
            None => luaL_error(state, c"this is not a shared table".as_ptr()),
        }
    }
}

/// Raises the error of a write.
///
/// # Safety
/// The key is the second value of the stack; the caller has nothing to drop.
unsafe fn refuse_write(state: State, tables: &Tables, node: u32) -> c_int {
    unsafe {
        let path = tables.path_text(node, key(state, 2));
        let text = format!("a shared table is read-only: the key [{path}] cannot be set");
        drop(path);
        raise_at_caller(state, host(state), text)
    }
}

/// `__len(table)`
pub(super) unsafe extern "C-unwind" fn len(state: State) -> c_int {
    unsafe {
        let (tables, node) = shared(state);
        lua_pushinteger(state, lua_Integer::from(tables.items(node)));
        1
    }
}

/// `__eq(left, right)`: after an update two proxies may be of one table.
unsafe extern "C-unwind" fn eq(state: State) -> c_int {
    unsafe {
        let is_equal = lua_getmetatable(state, 1) != 0
            && lua_getmetatable(state, 2) != 0
            && lua_rawequal(state, -1, -2) != 0
            && proxy::node(state, 1).is_some()
            && proxy::node(state, 1) == proxy::node(state, 2);
        lua_pushboolean(state, c_int::from(is_equal));
        1
    }
}

/// `__pairs(table)`: a function that returns the next key and value at each call.
unsafe extern "C-unwind" fn pairs(state: State) -> c_int {
    unsafe {
        lua_settop(state, 1);
        let Some((_, node)) = parts(state) else {
            return luaL_error(state, c"this is not a shared table".as_ptr());
        };
        // On the stack: the table, its metatable, its proxies.
        lua_rawgeti(state, 2, INDEX);
        lua_getupvalue(state, -1, UPVALUE_VERSION);
        lua_replace(state, -2);
        lua_pushvalue(state, 3);
        lua_pushvalue(state, 2);
        lua_pushinteger(state, lua_Integer::from(node));
        lua_pushinteger(state, 0);
        lua_pushcclosure(state, step, 5);
        lua_pushvalue(state, 1);
        lua_pushnil(state);
        3
    }
}

unsafe extern "C-unwind" fn step(state: State) -> c_int {
    unsafe {
        let Some(tables) = proxy::version(state) else {
            return 0;
        };
        let node = lua_tointegerx(state, lua_upvalueindex(UPVALUE_NODE), std::ptr::null_mut()) as u32;
        let slot = lua_tointegerx(state, lua_upvalueindex(UPVALUE_SLOT), std::ptr::null_mut()) as u32;
        let pushed = push_slot(
            state,
            tables,
            (node, slot),
            lua_upvalueindex(UPVALUE_PROXIES),
            lua_upvalueindex(UPVALUE_METATABLE),
        );
        if pushed == 2 {
            lua_pushinteger(state, lua_Integer::from(slot) + 1);
            lua_replace(state, lua_upvalueindex(UPVALUE_SLOT));
            let held = lua_touserdata(state, lua_upvalueindex(UPVALUE_VERSION));
            update::follow(state, held.cast(), lua_upvalueindex(UPVALUE_PROXIES));
        }
        pushed
    }
}

/// Pushes key and value of a slot, or nil after the last one; returns how many values.
///
/// # Safety
/// As for [`proxy::push_value`].
unsafe fn push_slot(
    state: State,
    tables: &Tables,
    (node, slot): (u32, u32),
    proxies: c_int,
    metatable: c_int,
) -> c_int {
    unsafe {
        let (Some(key), Some(value)) = (tables.key_at(node, slot), tables.value(node, slot)) else {
            lua_pushnil(state);
            return 1;
        };
        proxy::push_value(state, key, tables, proxies, metatable);
        proxy::push_value(state, value, tables, proxies, metatable);
        2
    }
}

/// `next(table [, key])`, as in Lua, also of shared tables.
unsafe extern "C-unwind" fn next(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTABLE);
        lua_settop(state, 2);
        let Some((tables, node)) = parts(state) else {
            lua_settop(state, 2);
            if lua_next(state, 1) != 0 {
                return 2;
            }
            lua_pushnil(state);
            return 1;
        };
        let slot = match lua_type(state, 2) {
            LUA_TNIL => 0,
            _ => match key(state, 2).and_then(|key| tables.find(node, key)) {
                Some(slot) => slot + 1,
                None => return luaL_error(state, c"invalid key to 'next'".as_ptr()),
            },
        };
        push_slot(state, tables, (node, slot), 4, 3)
    }
}

/// Version and index of the shared table that is the first argument, whose metatable and proxies are pushed. `None`: it is
/// another table. One that is not there any more raises an error.
///
/// # Safety
/// A table is the first value of a stack, and the caller has nothing to drop.
#[inline]
unsafe fn parts<'a>(state: State) -> Option<(&'a Tables, u32)> {
    unsafe {
        let Some(tables) = proxy::push_parts(state, 1) else {
            if lua_type(state, 1) == LUA_TTABLE && lua_getmetatable(state, 1) != 0 {
                lua_pop(state, 1);
                if proxy::is_proxy(state, 1) {
                    update::raise_ended(state);
                }
            }
            return None;
        };
        let node = proxy::node(state, 1).filter(|node| tables.contains(*node));
        Some((tables, node?))
    }
}

/// `rawget(table, key)`, as in Lua, also of shared tables.
unsafe extern "C-unwind" fn raw_get(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTABLE);
        luaL_checkany(state, 2);
        lua_settop(state, 2);
        let Some((tables, node)) = parts(state) else {
            lua_settop(state, 2);
            lua_rawget(state, 1);
            return 1;
        };
        let value = key(state, 2)
            .and_then(|key| tables.find(node, key))
            .and_then(|slot| tables.value(node, slot));
        match value {
            Some(value) => proxy::push_value(state, value, tables, 4, 3),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `rawlen(value)`, as in Lua, also of shared tables.
unsafe extern "C-unwind" fn raw_len(state: State) -> c_int {
    unsafe {
        let kind = lua_type(state, 1);
        luaL_argcheck(
            state,
            c_int::from(kind == LUA_TTABLE || kind == LUA_TSTRING),
            1,
            c"table or string expected".as_ptr(),
        );
        let length = match parts(state) {
            Some((tables, node)) => lua_Integer::from(tables.items(node)),
            None => lua_rawlen(state, 1) as lua_Integer,
        };
        lua_pushinteger(state, length);
        1
    }
}

/// `rawset(table, key, value)`, as in Lua; a shared table is read-only.
unsafe extern "C-unwind" fn raw_set(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTABLE);
        luaL_checkany(state, 2);
        luaL_checkany(state, 3);
        lua_settop(state, 3);
        if let Some((tables, node)) = parts(state) {
            return refuse_write(state, tables, node);
        }
        lua_settop(state, 3);
        lua_rawset(state, 1);
        1
    }
}
