//! The module `skyring.shared`, on which `skynet.sharedata`, `skynet.sharetable` and `skynet.datasheet` are based, and
//! `next`, `rawget`, `rawlen` and `rawset`, which know shared tables.
//!
//! To Lua a shared table is an empty table, a proxy, with a hidden field: under a light userdata it has the index of the
//! table in its version. Its metatable belongs to one version in one service; the upvalues of its function `__index` are
//! the version, held by reference count, and the proxies by index in a table with weak values, so that equal tables are the
//! same proxy. Metatables are created when
//! a service first reads a version.
//!
//! An update moves the proxies of older versions to the newest: `update` gives them the newest metatable and the index of
//! the table that is at the same keys there.
//!
//! An index that Lua code has changed is checked before it is used, and a version that a finalizer uses after it was
//! dropped is not there: such accesses raise errors.

mod access;
mod copy;
mod freeze;
mod proxy;
mod update;

use std::ffi::{CStr, c_int};

use mlua::ffi::*;

use super::{State, add_functions, host, push_text, raise, string, type_name};
use crate::host::Host;
use crate::shared_table::{Listed, Space};

/// The functions of the module.
const FUNCTIONS: [(&CStr, lua_CFunction); 9] = [
    (c"publish", freeze::publish),
    (c"query", proxy::query),
    (c"update", update::update),
    (c"copy", copy::copy),
    (c"remove", remove),
    (c"number", number),
    (c"names", names),
    (c"info", info),
    (c"release", release),
];

/// Pushes the module.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn push_module(state: State) {
    unsafe {
        lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        add_functions(state, &FUNCTIONS);
    }
}

/// Replaces functions of Lua that do not heed metatables.
///
/// # Safety
/// As for [`add_functions`], without the table.
pub(super) unsafe fn replace(state: State) {
    unsafe {
        lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        add_functions(state, &access::REPLACED);
        lua_pop(state, 1);
    }
}

/// The module that a function's first argument names, and the name in it, the second.
///
/// # Safety
/// `state` runs such a function.
unsafe fn space_and_name<'a>(state: State) -> (Space, &'a [u8]) {
    unsafe {
        let space = match luaL_checkinteger(state, 1) {
            1 => Space::Data,
            2 => Space::Table,
            3 => Space::Sheet,
            _ => {
                luaL_error(state, c"no such kind of shared tables".as_ptr());
                Space::Data
            }
        };
        if lua_type(state, 2) != LUA_TSTRING {
            let text = format!(
                "the name of a shared table is a string, not a {}",
                type_name(state, 2)
            );
            raise_at_caller(state, host(state), text);
        }
        (space, string(state, 2).unwrap_or_default())
    }
}

/// `remove(space, name)`: whether there was one.
unsafe extern "C-unwind" fn remove(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        let removed = host(state).node.shared.remove(space, name);
        lua_pushboolean(state, c_int::from(removed));
        1
    }
}

/// `number(space, name)`: the number of the newest version; nil if there is none.
unsafe extern "C-unwind" fn number(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        let number = host(state)
            .node
            .shared
            .get(space, name)
            .map(|version| version.number());
        match number {
            Some(number) => lua_pushinteger(state, number as lua_Integer),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `names(space)`: a list.
unsafe extern "C-unwind" fn names(state: State) -> c_int {
    unsafe { list(state, false) }
}

/// `info(space)`: by name, a text with the number and the size of the newest version, and how many older ones services read.
unsafe extern "C-unwind" fn info(state: State) -> c_int {
    unsafe { list(state, true) }
}

/// `release()`: gives memory that this service has freed back to the system.
unsafe extern "C-unwind" fn release(_state: State) -> c_int {
    crate::memory::release();
    0
}

/// # Safety
/// `state` runs `names` or `info`.
unsafe fn list(state: State, with_info: bool) -> c_int {
    unsafe {
        lua_settop(state, 1);
        lua_pushlstring(state, c"".as_ptr(), 0);
        let (space, _) = space_and_name(state);
        let host = host(state);
        let all = host.node.shared.all(space);
        let lines: Vec<String> = all
            .iter()
            .map(|listed| {
                let (number, bytes) = (listed.newest.number(), listed.newest.bytes());
                match listed.older_in_use {
                    0 => format!("version {number}, {bytes} bytes"),
                    older => format!("version {number}, {bytes} bytes; older versions in use: {older}"),
                }
            })
            .collect();
        // Both lists are dropped before an error of memory is raised.
        let pushed = protected(state, host, |state| {
            lua_createtable(state, 0, 0);
            for (at, (Listed { name, .. }, line)) in all.iter().zip(&lines).enumerate() {
                lua_pushlstring(state, name.as_ptr().cast(), name.len());
                if with_info {
                    lua_pushlstring(state, line.as_ptr().cast(), line.len());
                    lua_rawset(state, -3);
                } else {
                    lua_rawseti(state, -2, at as lua_Integer + 1);
                }
            }
        });
        drop((all, lines));
        match pushed {
            Ok(()) => 1,
            Err(text) => raise(state, host, text),
        }
    }
}

/// Runs work that leaves one value in protected mode, so that the caller may own values that are dropped.
///
/// # Safety
/// `state` runs; `work` itself owns nothing that is dropped, and it finds an empty stack.
unsafe fn protected<F: FnMut(State)>(state: State, host: &Host, mut work: F) -> Result<(), String> {
    unsafe extern "C-unwind" fn run<F: FnMut(State)>(state: State) -> c_int {
        unsafe {
            let work = lua_touserdata(state, 1).cast::<F>();
            lua_settop(state, 0);
            (*work)(state);
            1
        }
    }
    unsafe {
        if lua_checkstack(state, 3) == 0 {
            return Err("the stack is full".to_owned());
        }
        lua_pushcfunction(state, run::<F>);
        lua_pushlightuserdata(state, (&raw mut work).cast());
        if lua_pcall(state, 1, 1, 0) == LUA_OK {
            return Ok(());
        }
        let text = super::coroutine::error_text(host, state);
        Err(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Raises an error with this text, at the place outside of our library that led here.
///
/// # Safety
/// As for [`raise`].
unsafe fn raise_at_caller(state: State, host: &Host, text: String) -> c_int {
    unsafe {
        push_text(state, host, text);
        let mut level = 1;
        let mut function: lua_Debug = std::mem::zeroed();
        while lua_getstack(state, level, &mut function) != 0
            && lua_getinfo(state, c"S".as_ptr(), &mut function) != 0
            // Release builds of the library do not name their files.
            && [&b"@skyring/"[..], b"=?"]
                .iter()
                .any(|start| CStr::from_ptr(function.source).to_bytes().starts_with(start))
        {
            level += 1;
        }
        luaL_where(state, level);
        lua_insert(state, -2);
        lua_concat(state, 2);
        lua_error(state)
    }
}
