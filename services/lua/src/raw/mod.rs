//! All code that uses the interpreter's C interface, through which every message passes.
//!
//! # Why this is sound
//!
//! *The host outlives the state.* Every function here gets its [`Host`] from the extra space of its Lua state or from an
//! argument. `state` puts it into the extra space of the main thread before any coroutine is created, and Lua copies that
//! space to each coroutine. The service drops its interpreter before its host, so the pointer is valid whenever Lua runs.
//!
//! *No destructor is skipped.* An error in Lua unwinds C frames with `longjmp`, which must not skip a Rust value that needs
//! to be dropped. So a function first reads its arguments from the stack, then works in Rust without calling Lua, and
//! only then pushes results. Data that must live across a call that can raise is in the host: the current message, the
//! buffer into which values are packed, a text to push. Errors are returned as values to the outermost function, which
//! raises them when nothing is left to drop.
//!
//! *No borrow is held while Lua runs.* Only the host's own safe methods borrow its cells.
//!
//! *Outside a protected call only functions that cannot raise are called*: those that push numbers, light values and
//! registry entries, move values, and resume. Functions that allocate run in a protected call or in a coroutine.

pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod core;
pub(crate) mod coroutine;
pub(crate) mod dispatch;
mod hook;
mod launches;
mod load;
mod mongo;
pub(crate) mod native;
mod node;
pub(crate) mod pack;
mod profile;
mod sample;
mod shared;
pub(crate) mod signal;
pub(crate) mod spare;
pub(crate) mod state;
pub(crate) mod unpack;
mod waiting;

use std::ffi::{CStr, c_int};

use mlua::ffi::*;
use mlua::lua_State;
use skyring::Handle;

use crate::host::Host;

pub(crate) type State = *mut lua_State;

/// The host of a function that `state` registered.
///
/// # Safety
/// `state` belongs to an interpreter that `state::open` created.
#[inline]
unsafe fn host<'a>(state: State) -> &'a Host {
    unsafe { &**lua_getextraspace(state).cast::<*const Host>() }
}

/// Raises an error with this text. The text moves into the host, so nothing is left to drop.
///
/// # Safety
/// `state` runs in protected mode, and the caller has nothing left to drop.
unsafe fn raise(state: State, host: &Host, text: String) -> c_int {
    unsafe {
        push_text(state, host, text);
        lua_error(state)
    }
}

/// Pushes a text. It moves into the host first, so that it is dropped exactly once even if memory runs out.
///
/// # Safety
/// As for [`raise`], with space for one value on the stack.
unsafe fn push_text(state: State, host: &Host, text: impl Into<Vec<u8>>) {
    unsafe {
        // No other reference to it exists: it is set and pushed here, and Lua copies it.
        *host.text.get() = text.into();
        let text: *const Vec<u8> = host.text.get();
        lua_pushlstring(state, (*text).as_ptr().cast(), (*text).len());
    }
}

/// Pushes bytes, which the caller keeps alive.
///
/// # Safety
/// As for [`push_text`].
unsafe fn push_bytes(state: State, bytes: *const [u8]) {
    unsafe {
        lua_pushlstring(state, bytes.cast(), bytes.len());
    }
}

/// Returns the number of a function's results, or raises its error.
///
/// # Safety
/// As for [`raise`].
#[inline]
unsafe fn finish(state: State, host: &Host, result: Result<c_int, String>) -> c_int {
    match result {
        Ok(results) => results,
        Err(text) => unsafe { raise(state, host, text) },
    }
}

/// The bytes of a string on the stack, or `None` for anything else. They live as long as the string.
///
/// # Safety
/// `index` is valid, and the string stays on the stack while the bytes are used.
unsafe fn string<'a>(state: State, index: c_int) -> Option<&'a [u8]> {
    unsafe {
        // A number would be converted in place, which allocates.
        if lua_type(state, index) != LUA_TSTRING {
            return None;
        }
        let mut length = 0;
        let bytes = lua_tolstring(state, index, &mut length);
        Some(std::slice::from_raw_parts(bytes.cast(), length))
    }
}

/// The name of a value's type.
///
/// # Safety
/// `index` is valid or beyond the top.
unsafe fn type_name(state: State, index: c_int) -> String {
    unsafe {
        let name = lua_typename(state, lua_type(state, index));
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// What is wrong with a name in another encoding.
const NO_TEXT: &str = "the name of a service or a node is UTF-8 text, which this is not";

/// The service at an address in Lua's notation: a number or a string. `Ok(None)`: no service has the name.
///
/// # Safety
/// `index` is valid or beyond the top.
#[inline]
unsafe fn address(state: State, host: &Host, index: c_int) -> Result<Option<Handle>, String> {
    unsafe {
        let mut is_integer = 0;
        let number = lua_tointegerx(state, index, &mut is_integer);
        if is_integer != 0 && lua_type(state, index) == LUA_TNUMBER {
            if number == 0 {
                return Err("0 is not the address of a service".to_owned());
            }
            return Ok(Some(Handle(number as u32)));
        }
        match string(state, index) {
            Some(text) => match str::from_utf8(text) {
                Ok(text) => Ok(host.resolve(text)),
                Err(_) => Err(NO_TEXT.to_owned()),
            },
            None => Err(format!(
                "an address is a number or a string, not a {}",
                type_name(state, index)
            )),
        }
    }
}

/// Adds functions to the table on top of the stack. They find the host by their state, so they take no memory of their own.
///
/// # Safety
/// `state` runs in protected mode, and a table is on top.
unsafe fn add_functions(state: State, functions: &[(&CStr, lua_CFunction)]) {
    unsafe {
        for (name, function) in functions {
            lua_pushcfunction(state, *function);
            lua_setfield(state, -2, name.as_ptr());
        }
    }
}
