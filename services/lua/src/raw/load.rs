//! `loadfile`, `dofile` and the search for modules, which compile each file once in a node, and the module
//! `skynet.codecache`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use mlua::ffi::*;

use super::{State, add_functions, host};
use crate::code::CodeMode;
use crate::host::Host;

/// The functions of the module `skynet.codecache`.
const FUNCTIONS: [(&CStr, lua_CFunction); 3] = [(c"clear", clear), (c"mode", mode), (c"loadfile", load_file)];

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

/// Replaces `loadfile`, `dofile` and Lua's searcher for modules in Lua.
///
/// # Safety
/// As for [`add_functions`], without the table.
pub(super) unsafe fn replace(state: State) {
    unsafe {
        lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        add_functions(state, &[(c"loadfile", load_file), (c"dofile", do_file)]);
        lua_getfield(state, -1, c"package".as_ptr());
        lua_getfield(state, -1, c"searchers".as_ptr());
        lua_pushvalue(state, -2);
        lua_pushcclosure(state, search, 1);
        lua_rawseti(state, -2, 2);
        lua_pop(state, 3);
    }
}

/// `loadfile([path [, mode [, environment]]])`, as in Lua.
unsafe extern "C-unwind" fn load_file(state: State) -> c_int {
    unsafe {
        let path = luaL_optlstring(state, 1, ptr::null(), ptr::null_mut());
        let mode = luaL_optlstring(state, 2, ptr::null(), ptr::null_mut());
        let has_environment = lua_type(state, 3) != LUA_TNONE;
        let status = if path.is_null() || !mode.is_null() && CStr::from_ptr(mode) != c"bt" {
            luaL_loadfilex(state, path, mode)
        } else {
            load(state, host(state), path)
        };
        if status != LUA_OK {
            lua_pushnil(state);
            lua_insert(state, -2);
            return 2;
        }
        if has_environment {
            lua_pushvalue(state, 3);
            if lua_setupvalue(state, -2, 1).is_null() {
                lua_pop(state, 1);
            }
        }
        1
    }
}

/// `dofile([path])`, as in Lua.
unsafe extern "C-unwind" fn do_file(state: State) -> c_int {
    unsafe extern "C-unwind" fn done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
        unsafe { lua_gettop(state) - 1 }
    }
    unsafe {
        let path = luaL_optlstring(state, 1, ptr::null(), ptr::null_mut());
        lua_settop(state, 1);
        let status = if path.is_null() {
            luaL_loadfilex(state, path, ptr::null())
        } else {
            load(state, host(state), path)
        };
        if status != LUA_OK {
            lua_error(state);
        }
        lua_callk(state, 0, LUA_MULTRET, 0, Some(done));
        done(state, LUA_OK, 0)
    }
}

/// The searcher for modules in Lua on `package.path`. Its upvalue is the table `package`.
unsafe extern "C-unwind" fn search(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        lua_settop(state, 1);
        lua_getfield(state, lua_upvalueindex(1), c"path".as_ptr());
        if lua_type(state, 2) != LUA_TSTRING {
            return luaL_error(state, c"'package.path' must be a string".as_ptr());
        }
        lua_getfield(state, lua_upvalueindex(1), c"searchpath".as_ptr());
        lua_insert(state, 2);
        lua_pushvalue(state, 1);
        lua_insert(state, 3);
        lua_callk(state, 2, 2, 0, None);
        // On the stack: the name; the path, or nil and the text that lists the searched paths.
        if lua_type(state, 2) != LUA_TSTRING {
            return 1;
        }
        lua_settop(state, 2);
        let path = lua_tolstring(state, 2, ptr::null_mut());
        if load(state, host(state), path) == LUA_OK {
            lua_pushvalue(state, 2);
            return 2;
        }
        luaL_error(
            state,
            c"error loading module '%s' from file '%s':\n\t%s".as_ptr(),
            lua_tolstring(state, 1, ptr::null_mut()),
            path,
            lua_tolstring(state, 3, ptr::null_mut()),
        )
    }
}

/// Loads a file as `luaL_loadfilex` does, from the node's code if that has it.
///
/// # Safety
/// `state` runs in protected mode, the caller has nothing to drop, and `path` stays alive meanwhile.
unsafe fn load(state: State, host: &Host, path: *const c_char) -> c_int {
    unsafe {
        let mode = host.code_mode.get();
        if mode != CodeMode::Off
            && let Some(code) = host.node.code.get(CStr::from_ptr(path).to_bytes())
        {
            // It returns the errors of loading, so that the code is dropped.
            return luaL_loadbufferx(state, code.as_ptr().cast(), code.len(), path, c"b".as_ptr());
        }
        let clears = host.node.code.clears();
        let status = luaL_loadfilex(state, path, ptr::null());
        if status == LUA_OK && mode == CodeMode::On {
            // The code is in the host, where an error leaves it.
            let code = host.text.get();
            (*code).clear();
            if lua_dump(state, append, code.cast(), 0) == 0 {
                let path = CStr::from_ptr(path).to_bytes();
                host.node.code.insert(path, &*code, clears);
            }
            *code = Vec::new();
        }
        status
    }
}

/// Appends bytecode to the vector `to`.
unsafe extern "C-unwind" fn append(
    _state: State,
    bytes: *const c_void,
    count: usize,
    to: *mut c_void,
) -> c_int {
    unsafe {
        if count > 0 {
            (*to.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), count));
        }
        0
    }
}

/// `clear()`: files are compiled again.
unsafe extern "C-unwind" fn clear(state: State) -> c_int {
    unsafe { host(state).node.code.clear() };
    0
}

/// `mode([mode])`: sets how this service uses the cache, `"ON"`, `"OFF"` or `"EXIST"`; without an argument it returns that.
unsafe extern "C-unwind" fn mode(state: State) -> c_int {
    const MODES: [(&CStr, CodeMode); 3] = [
        (c"OFF", CodeMode::Off),
        (c"EXIST", CodeMode::Exist),
        (c"ON", CodeMode::On),
    ];
    unsafe {
        let host = host(state);
        if lua_type(state, 1) <= LUA_TNIL {
            let current = MODES.iter().find(|(_, mode)| *mode == host.code_mode.get());
            lua_pushstring(state, current.map_or(c"ON", |(name, _)| *name).as_ptr());
            return 1;
        }
        let wanted = CStr::from_ptr(luaL_checklstring(state, 1, ptr::null_mut()));
        match MODES.iter().find(|(name, _)| *name == wanted) {
            Some((_, mode)) => host.code_mode.set(*mode),
            None => return luaL_error(state, c"the mode of the code cache is ON, OFF or EXIST".as_ptr()),
        }
        0
    }
}
