//! Functions of `skynet` about the service and its node. They are here because a function in Rust takes no memory in each
//! service, and one in Lua some 400 bytes.

use std::ffi::{CStr, OsStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mlua::ffi::*;

use super::{State, host, push_text, string};

/// The functions of this file, for the module `skyring.host`.
pub(super) const FUNCTIONS: [(&CStr, lua_CFunction); 7] = [
    (c"self", own_address),
    (c"address", address),
    (c"localname", local_name),
    (c"getenv", getenv),
    (c"starttime", start_time),
    (c"time", time),
    (c"is_file", is_file),
];

/// `self()`: the service's handle.
unsafe extern "C-unwind" fn own_address(state: State) -> c_int {
    unsafe {
        lua_pushinteger(state, lua_Integer::from(host(state).caller.handle().0));
        1
    }
}

/// `address(address)`: a number as `:%08x`, anything else as a text.
unsafe extern "C-unwind" fn address(state: State) -> c_int {
    unsafe {
        if lua_type(state, 1) != LUA_TNUMBER {
            luaL_tolstring(state, 1, std::ptr::null_mut());
            return 1;
        }
        let number = luaL_checkinteger(state, 1);
        push_text(state, host(state), format!(":{number:08x}"));
        1
    }
}

/// `localname(name)`: the handle of the service with this name; no value if there is none.
unsafe extern "C-unwind" fn local_name(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        let name = string(state, 1).unwrap_or_default();
        match host(state).resolve(&String::from_utf8_lossy(name)) {
            Some(handle) => {
                lua_pushinteger(state, lua_Integer::from(handle.0));
                1
            }
            None => 0,
        }
    }
}

/// `getenv(key)`: its value in the environment, a text; nil if there is none.
unsafe extern "C-unwind" fn getenv(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        let host = host(state);
        let value = host
            .node
            .environment(&host.caller, string(state, 1).unwrap_or_default());
        match value {
            Some(value) => push_text(state, host, value),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `starttime()`: when the node started, in seconds since 1970.
unsafe extern "C-unwind" fn start_time(state: State) -> c_int {
    unsafe {
        lua_pushinteger(state, host(state).node.start_time() as lua_Integer);
        1
    }
}

/// `time()`: the time of day in seconds since 1970, to the hundredth.
unsafe extern "C-unwind" fn time(state: State) -> c_int {
    unsafe {
        let node = &host(state).node;
        lua_pushnumber(state, node.now() as f64 / 100.0 + node.start_time() as f64);
        1
    }
}

/// `is_file(path)`: whether a regular file has this path, found without opening it; if not, false and why.
unsafe extern "C-unwind" fn is_file(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        let path = Path::new(OsStr::from_bytes(string(state, 1).unwrap_or_default()));
        let cause = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => None,
            Ok(_) => Some("it is no regular file".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        lua_pushboolean(state, c_int::from(cause.is_none()));
        match cause {
            Some(cause) => push_text(state, host(state), cause),
            None => lua_pushnil(state),
        }
        2
    }
}
