//! The frequent functions of the module `skynet.cluster.core`: calls and sends to services of other nodes.

use std::ffi::{CStr, c_int};
use std::time::Duration;

use mlua::ffi::*;
use skyring::config::WhenDown;
use skyring::{Address, Handle, NodeRef, Payload};

use super::coroutine::{begin_wait, check_may_wait};
use super::waiting::call_done;
use super::{NO_TEXT, State, add_functions, host, pack, raise, string, type_name};
use crate::host::Host;

/// The functions of this file.
const FUNCTIONS: [(&CStr, lua_CFunction); 2] = [(c"call", call), (c"send", send)];

/// Adds them to the table on top of the stack.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn add_to_module(state: State) {
    unsafe { add_functions(state, &FUNCTIONS) };
}

/// The key, the timeout and what happens while the node is down; nil for none.
struct CallOptions {
    key: Option<u64>,
    timeout: Option<Duration>,
    when_down: Option<WhenDown>,
}

/// # Safety
/// Key, seconds and when_down are the first values of the stack.
unsafe fn call_options(state: State) -> Result<CallOptions, String> {
    unsafe {
        let key = match lua_type(state, 1) {
            LUA_TNIL => None,
            LUA_TNUMBER if lua_isinteger(state, 1) != 0 => {
                Some(lua_tointegerx(state, 1, std::ptr::null_mut()) as u64)
            }
            LUA_TSTRING => string(state, 1).map(skyring::placement::hash_bytes),
            _ => {
                return Err(format!(
                    "a key is a whole number or a string, not a {}",
                    type_name(state, 1)
                ));
            }
        };
        let timeout = match lua_type(state, 2) {
            LUA_TNIL => None,
            LUA_TNUMBER => {
                let seconds = lua_tonumberx(state, 2, std::ptr::null_mut());
                let timeout = Duration::try_from_secs_f64(seconds);
                Some(timeout.map_err(|_| format!("{seconds} is not a valid time in seconds"))?)
            }
            _ => {
                return Err(format!(
                    "a time is a number of seconds, not a {}",
                    type_name(state, 2)
                ));
            }
        };
        let when_down = match string(state, 3).map(str::from_utf8) {
            None if lua_type(state, 3) == LUA_TNIL => None,
            Some(Ok(text)) if text.parse::<WhenDown>().is_ok() => text.parse().ok(),
            _ => return Err("when_down is \"fail\" or \"wait\"".to_owned()),
        };
        Ok(CallOptions {
            key,
            timeout,
            when_down,
        })
    }
}

/// The address of a service of another node: a number, `@name`, `.name` or `:hex`.
///
/// # Safety
/// `index` is valid or beyond the top.
unsafe fn address(state: State, index: c_int) -> Result<Address, String> {
    unsafe {
        if let Some(text) = string(state, index) {
            let text = str::from_utf8(text).map_err(|_| NO_TEXT.to_owned())?;
            return Ok(Address::from(text));
        }
        let mut is_integer = 0;
        let number = lua_tointegerx(state, index, &mut is_integer);
        match u32::try_from(number) {
            Ok(handle) if is_integer != 0 => Ok(Address::Handle(Handle(handle))),
            _ => Err(format!(
                "an address is a number, @name, .name or :hex, not a {}",
                type_name(state, index)
            )),
        }
    }
}

/// `call(key, seconds, when_down, node, address, ...)`: returns the values of the answer, or raises its error.
unsafe extern "C-unwind" fn call(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let begun = check_may_wait(state, host).and_then(|()| post(state, host, true));
        match begun {
            Ok(()) => {
                lua_settop(state, 0);
                lua_yieldk(state, 0, 0, Some(call_done))
            }
            Err(text) => raise(state, host, text),
        }
    }
}

/// `send(key, seconds, when_down, node, address, ...)`
unsafe extern "C-unwind" fn send(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match post(state, host, false) {
            Ok(()) => 0,
            Err(text) => raise(state, host, text),
        }
    }
}

/// # Safety
/// `state` runs `call` or `send`.
unsafe fn post(state: State, host: &Host, is_call: bool) -> Result<(), String> {
    unsafe {
        // Packing can raise an error, so it comes before any value that must be dropped.
        let packed = pack::pack(state, host, 5, false)?;
        let payload = Payload(packed);
        let options = call_options(state)?;
        let Some(name) = string(state, 4) else {
            return Err(format!(
                "the name of a node is a string, not a {}",
                type_name(state, 4)
            ));
        };
        if str::from_utf8(name).is_err() {
            return Err(NO_TEXT.to_owned());
        }
        let address = address(state, 5)?;
        let session = if is_call { host.next_session() } else { 0 };
        if is_call {
            begin_wait(host, session, 0);
        }
        host.with_route(name, |node: &NodeRef| {
            let post = |node: &NodeRef| {
                host.caller
                    .post_remote(node, address, session, payload, options.timeout);
            };
            if options.key.is_none() && options.when_down.is_none() {
                return post(node);
            }
            let mut node = node.clone();
            if let Some(key) = options.key {
                node = node.key(key);
            }
            if let Some(when_down) = options.when_down {
                node = node.when_down(when_down);
            }
            post(&node);
        });
        Ok(())
    }
}
