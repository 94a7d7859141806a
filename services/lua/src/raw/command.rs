//! The functions of `skynet.core` that run Skynet's commands: `command`, `intcommand` and `addresscommand`.

use std::ffi::c_int;

use mlua::ffi::*;
use skyring::Handle;

use super::{State, finish, host, push_text, string};
use crate::command;
use crate::host::Host;

/// Runs the command on the stack. Its parameter may be a number.
///
/// # Safety
/// `state` runs a function of this file.
unsafe fn run(state: State, host: &Host) -> Result<Option<Vec<u8>>, String> {
    unsafe {
        let Some(name) = string(state, 1) else {
            return Err("a command is a string".to_owned());
        };
        let name = String::from_utf8_lossy(name);
        match lua_type(state, 2) {
            LUA_TNUMBER => {
                let number = lua_tointegerx(state, 2, std::ptr::null_mut());
                command::run(host, &name, number.to_string().as_bytes())
            }
            _ => command::run(host, &name, string(state, 2).unwrap_or_default()),
        }
    }
}

/// `command(name [, parameter])`: the answer as a string; no value if there is none.
pub(super) unsafe extern "C-unwind" fn command(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match run(state, host) {
            Ok(answer) => push_answer(state, host, answer),
            Err(text) => super::raise(state, host, text),
        }
    }
}

/// `intcommand(name [, parameter])`: the answer as a number.
pub(super) unsafe extern "C-unwind" fn int_command(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let result = run(state, host).and_then(|answer| match answer {
            None => Ok(None),
            Some(text) => {
                let text = String::from_utf8_lossy(&text);
                match text.parse::<i64>() {
                    Ok(number) => Ok(Some((Some(number), 0.0))),
                    Err(_) => match text.parse::<f64>() {
                        Ok(number) => Ok(Some((None, number))),
                        Err(_) => Err(format!("the answer is not a number: {text}")),
                    },
                }
            }
        });
        finish(
            state,
            host,
            result.map(|number| match number {
                None => 0,
                Some((Some(whole), _)) => {
                    lua_pushinteger(state, whole);
                    1
                }
                Some((None, number)) => {
                    lua_pushnumber(state, number);
                    1
                }
            }),
        )
    }
}

/// `addresscommand(name [, parameter])`: the answer as a handle.
pub(super) unsafe extern "C-unwind" fn address_command(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let result = run(state, host).map(|answer| {
            let text = String::from_utf8(answer?).ok()?;
            let hex = text.strip_prefix(':')?;
            u32::from_str_radix(hex, 16).ok().map(Handle)
        });
        finish(state, host, result.map(|handle| push_handle(state, handle)))
    }
}

/// Pushes a handle, if there is one, and returns the number of values.
///
/// # Safety
/// The stack of `state` has space for a value.
unsafe fn push_handle(state: State, handle: Option<Handle>) -> c_int {
    unsafe {
        match handle {
            Some(handle) => {
                lua_pushinteger(state, lua_Integer::from(handle.0));
                1
            }
            None => 0,
        }
    }
}

/// Pushes a text, if there is one, and returns the number of values.
///
/// # Safety
/// As for [`push_text`].
unsafe fn push_answer(state: State, host: &Host, text: Option<Vec<u8>>) -> c_int {
    match text {
        Some(text) => {
            unsafe { push_text(state, host, text) };
            1
        }
        None => 0,
    }
}
