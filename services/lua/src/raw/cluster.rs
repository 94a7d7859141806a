//! The module `skynet.cluster.core`, its fast part: calls and sends to services of other nodes.

use std::ffi::{CStr, c_int};
use std::time::Duration;

use mlua::ffi::*;
use skyring::{Address, Handle, NodeRef, Payload};

use super::coroutine::{check_may_wait, park};
use super::native::call_done;
use super::{State, add_functions, host, pack, raise, string, type_name};
use crate::host::Host;

/// Its functions.
const FUNCTIONS: [(&CStr, lua_CFunction); 2] = [(c"call", call), (c"send", send)];

/// Adds them to the table on top of the stack.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn add_to_module(state: State, host: *const Host) {
    unsafe { add_functions(state, host, &FUNCTIONS) };
}

/// The key and the time of a call, which stand before its node: nil for none.
struct Choices {
    key: Option<u64>,
    timeout: Option<Duration>,
}

/// # Safety
/// Key and seconds are the first values of the stack.
unsafe fn choices(state: State) -> Result<Choices, String> {
    unsafe {
        let key = match lua_type(state, 1) {
            LUA_TNIL => None,
            LUA_TNUMBER if lua_isinteger(state, 1) != 0 => {
                Some(lua_tointegerx(state, 1, std::ptr::null_mut()) as u64)
            }
            LUA_TSTRING => string(state, 1).map(skyring::placement::hash_bytes),
            _ => {
                return Err(format!(
                    "a key is a whole number or a text, and this is a {}",
                    type_name(state, 1)
                ));
            }
        };
        let timeout = match lua_type(state, 2) {
            LUA_TNIL => None,
            LUA_TNUMBER => {
                let seconds = lua_tonumberx(state, 2, std::ptr::null_mut());
                let timeout = Duration::try_from_secs_f64(seconds);
                Some(timeout.map_err(|_| format!("{seconds} is no time in seconds"))?)
            }
            _ => {
                return Err(format!(
                    "a time is a number of seconds, and this is a {}",
                    type_name(state, 2)
                ));
            }
        };
        Ok(Choices { key, timeout })
    }
}

/// The address of a service of another node: a number, `@name`, `.name` or `:hex`.
///
/// # Safety
/// `index` is valid or beyond the top.
unsafe fn address(state: State, index: c_int) -> Result<Address, String> {
    unsafe {
        if let Some(text) = string(state, index) {
            return Ok(Address::from(String::from_utf8_lossy(text).as_ref()));
        }
        let mut is_integer = 0;
        let number = lua_tointegerx(state, index, &mut is_integer);
        match u32::try_from(number) {
            Ok(handle) if is_integer != 0 => Ok(Address::Handle(Handle(handle))),
            _ => Err(format!(
                "an address is a number, @name, .name or :hex, and this is a {}",
                type_name(state, index)
            )),
        }
    }
}

/// `call(key, seconds, node, address, ...)`: the values of the answer; raises the error that came instead.
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

/// `send(key, seconds, node, address, ...)`
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
        // First what can raise: nothing is there to be dropped yet.
        let packed = pack::pack(state, host, 4, false)?;
        let payload = Payload(packed);
        let choices = choices(state)?;
        let Some(name) = string(state, 3) else {
            return Err(format!(
                "the name of a node is a text, and this is a {}",
                type_name(state, 3)
            ));
        };
        let address = address(state, 4)?;
        let session = if is_call { host.next_session() } else { 0 };
        if is_call {
            park(host, session, 0);
        }
        host.route(name, |node: &NodeRef| match choices.key {
            None => host
                .caller
                .post_remote(node, address, session, payload, choices.timeout),
            Some(key) => {
                let node = node.clone().key(key);
                host.caller
                    .post_remote(&node, address, session, payload, choices.timeout);
            }
        });
        Ok(())
    }
}
