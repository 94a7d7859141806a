//! Moves the proxies of older versions of a name to the newest version.

use std::ffi::c_int;

use mlua::ffi::*;

use super::super::{State, host, push_text};
use super::proxy::{self, Held, OTHERS};
use super::{raise_at_caller, space_and_name};
use crate::shared_table::Tables;

/// `update(space, name)`: the proxies that this service holds of older versions are of the newest from now on. Those of
/// tables that are not there any more raise an error when they are used.
pub(super) unsafe extern "C-unwind" fn update(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        lua_settop(state, 2);
        if !proxy::push_newest(state, space, name) {
            return 0;
        }
        proxy::push_metatables(state);
        // On the stack: space, name, the newest metatable (3), all metatables (4), the newest proxies.
        let Some(newest) = proxy::of_userdata(proxy::push_upvalues(state, 3).cast()) else {
            return 0;
        };
        lua_pushnil(state);
        while lua_next(state, 4) != 0 {
            // 6: the number; 7: a metatable, or the function `__gc`; 8: its proxies.
            let held = match lua_type(state, 7) {
                LUA_TTABLE => proxy::push_upvalues(state, 7),
                _ => std::ptr::null_mut(),
            };
            if !held.is_null()
                && (*held).space == space
                && *(*held).name == *name
                && let Some(old) = (*held).tables.as_deref()
                && old.number() != newest.number()
            {
                (*held).is_superseded = true;
                move_proxies(state, old, newest, false);
                if lua_rawgeti(state, 7, OTHERS) != LUA_TNIL {
                    move_proxies(state, old, newest, true);
                }
            }
            lua_settop(state, 6);
        }
        0
    }
}

/// Moves the proxies in the list at 8, whose keys they are, or whose values.
///
/// # Safety
/// `state` runs `update`, with the list of an older version at 8 and nothing above it, which is popped.
unsafe fn move_proxies(state: State, old: &Tables, newest: &Tables, are_keys: bool) {
    unsafe {
        lua_pushnil(state);
        while lua_next(state, 8) != 0 {
            let proxy = if are_keys { 9 } else { 10 };
            if let Some(node) = proxy::node(state, proxy) {
                move_proxy(state, (old, node), (newest, 3), proxy);
            }
            lua_settop(state, 9);
            // It is not this version's any more.
            lua_pushvalue(state, 9);
            lua_pushnil(state);
            lua_rawset(state, 8);
        }
        lua_settop(state, 7);
    }
}

/// Moves the proxy on top of the stack, if a loop of `pairs` that began before an update has created it since: the update
/// has moved those that were there.
///
/// # Safety
/// `state` runs in protected mode, the caller has nothing to drop, and `held` and the list at `proxies` are those of the
/// version of the loop.
pub(super) unsafe fn follow(state: State, held: *mut Held, proxies: c_int) {
    unsafe {
        if held.is_null() || !(*held).is_superseded || lua_type(state, -1) != LUA_TTABLE {
            return;
        }
        let proxy = lua_gettop(state);
        if let (Some(old), Some(node)) = ((*held).tables.as_deref(), proxy::node(state, proxy))
            && proxy::push_newest(state, (*held).space, &(*held).name)
        {
            let metatable = proxy + 1;
            let newest = proxy::of_userdata(proxy::push_upvalues(state, metatable).cast());
            if let Some(newest) = newest.filter(|newest| newest.number() != old.number()) {
                move_proxy(state, (old, node), (newest, metatable), proxy);
                lua_pushnil(state);
                lua_rawseti(state, proxies, lua_Integer::from(node));
            }
        }
        lua_settop(state, proxy);
    }
}

/// Moves one proxy, at the index `proxy`. The newest version is given with the index of its metatable.
///
/// # Safety
/// `state` runs in protected mode with space for six values, and the caller has nothing to drop.
unsafe fn move_proxy(
    state: State,
    (old, node): (&Tables, u32),
    (newest, metatable): (&Tables, c_int),
    proxy: c_int,
) {
    unsafe {
        let Some(target) = newest.counterpart(old, node) else {
            push_ended_metatable(state);
            lua_setmetatable(state, proxy);
            push_text(state, host(state), old.path_text(node, None));
            proxy::set_ended(state, proxy);
            return;
        };
        proxy::set_node(state, proxy, target);
        lua_pushvalue(state, metatable);
        lua_setmetatable(state, proxy);
        proxy::push_upvalues(state, metatable);
        if lua_rawgeti(state, -1, lua_Integer::from(target)) == LUA_TNIL {
            lua_pushvalue(state, proxy);
            lua_rawseti(state, -3, lua_Integer::from(target));
            return;
        }
        // The newest version already has a proxy of this table.
        proxy::push_others(state, metatable);
        lua_pushvalue(state, proxy);
        lua_pushboolean(state, 1);
        lua_rawset(state, -3);
    }
}

/// Pushes the metatable of proxies whose table is not there any more.
///
/// # Safety
/// As for [`move_proxies`].
unsafe fn push_ended_metatable(state: State) {
    unsafe {
        if luaL_newmetatable(state, c"skyring.shared.ended".as_ptr()) != 0 {
            for name in [c"__index", c"__newindex", c"__len", c"__pairs"] {
                lua_pushcfunction(state, raise_ended);
                lua_setfield(state, -2, name.as_ptr());
            }
            for name in [c"__metatable", c"__name"] {
                lua_pushstring(state, c"shared table".as_ptr());
                lua_setfield(state, -2, name.as_ptr());
            }
        }
    }
}

/// Raises the error of the first argument, a table that is not there any more.
pub(super) unsafe extern "C-unwind" fn raise_ended(state: State) -> c_int {
    unsafe {
        let mut path = String::new();
        if lua_type(state, 1) == LUA_TTABLE {
            proxy::push_ended(state, 1);
            path = String::from_utf8_lossy(super::string(state, -1).unwrap_or_default()).into_owned();
        }
        let text = format!("the key [{path}] of the shared table does not exist after an update");
        drop(path);
        raise_at_caller(state, host(state), text)
    }
}
