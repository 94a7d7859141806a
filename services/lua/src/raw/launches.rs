//! Launching services: `newservice` and `started` of the module `skyring.host`, and the module `skyring.launches`, on which
//! the launcher is based.

use std::ffi::{CStr, c_int};

use mlua::ffi::*;
use skyring::{Handle, Kind};

use super::coroutine::{begin_wait, check_may_wait};
use super::waiting::call_done;
use super::{State, add_functions, host, native, push_text, raise, string, type_name};
use crate::host::Host;
use crate::launches::{self, LUA_KIND, Outcome, Starting};

/// The functions for the module `skyring.host`.
pub(super) const HOST_FUNCTIONS: [(&CStr, lua_CFunction); 2] =
    [(c"newservice", new_service), (c"started", started)];

/// The functions of the module `skyring.launches`.
const FUNCTIONS: [(&CStr, lua_CFunction); 6] = [
    (c"serve", serve),
    (c"launch", launch),
    (c"next", next),
    (c"what", what),
    (c"find", find),
    (c"finish", finish),
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

/// `newservice(name, ...)`: starts a service in Lua, and returns its handle when it has started.
unsafe extern "C-unwind" fn new_service(state: State) -> c_int {
    unsafe {
        let host = host(state);
        if !launches::is_listed(host) {
            return ask_launcher(state);
        }
        while lua_gettop(state) > 0 && lua_type(state, -1) == LUA_TNIL {
            lua_pop(state, 1);
        }
        let count = lua_gettop(state);
        for index in 1..=count {
            if lua_isstring(state, index) == 0 {
                let text = format!(
                    "the name and the arguments of a service are texts and numbers, and number {index} is a {}",
                    type_name(state, index)
                );
                return raise(state, host, text);
            }
            // A number becomes a text in place.
            lua_tolstring(state, index, std::ptr::null_mut());
        }
        match begin_new_service(state, host, count) {
            Ok(()) => {
                lua_settop(state, 0);
                lua_yieldk(state, 0, 0, Some(call_done))
            }
            Err(text) => raise(state, host, text),
        }
    }
}

/// Asks a launcher that is not the built-in one to start the service.
///
/// # Safety
/// `state` runs `newservice`, and the caller has nothing to drop.
unsafe fn ask_launcher(state: State) -> c_int {
    unsafe {
        luaL_checkstack(state, 4, std::ptr::null());
        lua_pushstring(state, c".launcher".as_ptr());
        lua_pushinteger(state, lua_Integer::from(Kind::LUA.0));
        lua_pushstring(state, c"LAUNCH".as_ptr());
        lua_pushstring(state, c"snlua".as_ptr());
        lua_rotate(state, 1, 4);
        native::call(state)
    }
}

/// # Safety
/// The first `count` values of the stack are strings.
unsafe fn begin_new_service(state: State, host: &Host, count: c_int) -> Result<(), String> {
    unsafe {
        check_may_wait(state, host)?;
        let mut arguments = Vec::new();
        for index in 1..=count {
            if index > 1 {
                arguments.push(b' ');
            }
            arguments.extend_from_slice(string(state, index).unwrap_or_default());
        }
        begin(host, LUA_KIND, &arguments, 0).map(drop)
    }
}

/// Begins a launch that the running coroutine waits for.
fn begin(host: &Host, kind: &str, arguments: &[u8], request: u32) -> Result<Handle, String> {
    let session = host.next_session();
    let starting = Starting {
        asker: host.caller.handle(),
        session,
        request,
    };
    let handle = launches::launch(host, kind, arguments, starting)?;
    begin_wait(host, session, handle.0);
    Ok(handle)
}

/// `started([problem])`: this service has started, or has not because of a problem, a text.
unsafe extern "C-unwind" fn started(state: State) -> c_int {
    unsafe {
        let problem = string(state, 1).map(String::from_utf8_lossy);
        launches::report_start(host(state), problem.as_deref());
        0
    }
}

/// `serve()`: this service is the launcher.
unsafe extern "C-unwind" fn serve(state: State) -> c_int {
    unsafe {
        let host = host(state);
        host.node.launches.set_launcher(host.caller.handle());
        0
    }
}

/// `launch(kind, arguments, request, is_logged)`: starts a service, and returns its handle when it has started. `request`:
/// the session of the request for it.
unsafe extern "C-unwind" fn launch(state: State) -> c_int {
    unsafe {
        for index in 1..=2 {
            luaL_checklstring(state, index, std::ptr::null_mut());
        }
        let host = host(state);
        match begin_launch(state, host) {
            Ok(()) => {
                lua_settop(state, 0);
                lua_yieldk(state, 0, 0, Some(call_done))
            }
            Err(text) => raise(state, host, text),
        }
    }
}

/// # Safety
/// `state` runs `launch`.
unsafe fn begin_launch(state: State, host: &Host) -> Result<(), String> {
    unsafe {
        check_may_wait(state, host)?;
        let kind = String::from_utf8_lossy(string(state, 1).unwrap_or_default());
        let request = lua_tointegerx(state, 3, std::ptr::null_mut()) as u32;
        let handle = begin(host, &kind, string(state, 2).unwrap_or_default(), request)?;
        if lua_toboolean(state, 4) != 0 {
            host.node.message_logs.switch_on(host, handle);
        }
        Ok(())
    }
}

/// `next(_, handle)`: the launched service after this one, with kind and arguments, for a loop over all.
unsafe extern "C-unwind" fn next(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let after = lua_tointegerx(state, 2, std::ptr::null_mut()) as u32;
        match host.node.launches.next(after) {
            Some((handle, what)) => {
                lua_pushinteger(state, lua_Integer::from(handle));
                push_text(state, host, what);
                2
            }
            None => 0,
        }
    }
}

/// `what(handle)`: kind and arguments of a launched service, or nil.
unsafe extern "C-unwind" fn what(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let handle = lua_tointegerx(state, 1, std::ptr::null_mut()) as u32;
        match host.node.launches.what(handle) {
            Some(what) => push_text(state, host, what),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `find(request)`: the handle of the service that is starting for a request, or nil.
unsafe extern "C-unwind" fn find(state: State) -> c_int {
    unsafe {
        let request = lua_tointegerx(state, 1, std::ptr::null_mut()) as u32;
        match host(state).node.launches.find(request) {
            Some(handle) => lua_pushinteger(state, lua_Integer::from(handle)),
            None => lua_pushnil(state),
        }
        1
    }
}

/// `finish(handle, outcome [, problem])`: answers the launch of a service. The outcome is `"started"`, `"failed"`,
/// `"exited"` or `"killed"`.
unsafe extern "C-unwind" fn finish(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let handle = Handle(lua_tointegerx(state, 1, std::ptr::null_mut()) as u32);
        let problem = String::from_utf8_lossy(string(state, 3).unwrap_or_default());
        let outcome = match string(state, 2) {
            Some(b"started") => Outcome::Started,
            Some(b"failed") => Outcome::Failed(&problem),
            Some(b"exited") => Outcome::Exited,
            _ => Outcome::Killed,
        };
        host.node.launches.finish(host, handle, &outcome);
        0
    }
}
