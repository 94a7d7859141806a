//! From the engine into Lua: messages, answers, and the chunks that services begin with.

use std::ffi::{c_int, c_void};

use bytes::Bytes;
use mlua::ffi::*;
use skyring::{Error, Payload};

use super::coroutine::{self, log_error};
use super::unpack::unpack;
use super::{State, string};
use crate::buffer;
use crate::host::{Handler, Host, Mode, Outcome, Waiter};

/// The kind of an answer in Skynet's C interface.
pub(super) const RESPONSE: u8 = 1;
/// The kind of an error, and of the news that a service has ended.
pub(super) const ERROR: u8 = 7;

/// Handles one message. A call is answered sooner or later by way of `source` and `session`.
///
/// # Safety
/// No other message of the host is being handled, and its interpreter lives.
pub(super) unsafe fn message(host: &Host, kind: u8, source: u32, session: u32, payload: Payload) {
    unsafe {
        begin(host, payload.0);
        match host.mode.get() {
            Mode::Native => {
                native(host, kind, source, session);
                coroutine::drain(host);
            }
            Mode::Callback { function, forward } => callback(host, function, forward, kind, source, session),
            Mode::Silent if session != 0 => {
                let error = Error::remote("the service has not called skynet.start");
                host.answer(source, session, Err(error));
            }
            Mode::Silent => {}
        }
    }
}

/// Hands over the answer to what the service asked with `session`.
///
/// # Safety
/// As for [`message`].
pub(super) unsafe fn answer(host: &Host, session: u32, result: Result<Payload, Error>) {
    unsafe {
        let (outcome, bytes) = match result {
            Ok(payload) => (Outcome::Values, payload.0),
            Err(error) => (Outcome::Failed, Bytes::from(error.to_string())),
        };
        if let Mode::Callback { function, forward } = host.mode.get() {
            begin(host, bytes);
            let kind = if outcome == Outcome::Values {
                RESPONSE
            } else {
                ERROR
            };
            return callback(host, function, forward, kind, 0, session);
        }
        match host.take_waiter(session) {
            Some(Waiter::One(id)) => {
                begin(host, bytes);
                host.outcome.set(outcome);
                coroutine::resume_waiting(host, host.main.get(), id);
                coroutine::drain(host);
            }
            Some(Waiter::Many(id)) => {
                begin(host, bytes);
                host.outcome.set(outcome);
                host.answered_session.set(session);
                coroutine::resume_waiting(host, host.main.get(), id);
                coroutine::drain(host);
            }
            None if outcome == Outcome::Values && host.mode.get() == Mode::Native => {
                begin(host, bytes);
                unknown_answer(host, session);
                coroutine::drain(host);
            }
            // Whoever asked does not wait any more.
            Some(Waiter::Broken) | None => {}
        }
    }
}

#[inline]
fn begin(host: &Host, bytes: Bytes) {
    host.messages.set(host.messages.get() + 1);
    host.set_message(bytes);
    // Left behind only by a packing that ran out of memory.
    // SAFETY: nothing runs in the interpreter, so nothing else refers to the buffer.
    unsafe { (*host.scratch.get()).clear() };
}

/// # Safety
/// As for [`message`].
unsafe fn native(host: &Host, kind: u8, source: u32, session: u32) {
    unsafe {
        let handler = host.handlers[usize::from(kind)]
            .get()
            .or(host.handler_unknown.get());
        let Some(handler) = handler else {
            if session != 0 {
                let error = Error::remote(format!("the service takes no messages of kind {kind}"));
                host.answer(source, session, Err(error));
            }
            return;
        };
        enter(host, handler, (kind, source, session), session);
    }
}

/// An answer that nobody has asked for, and that nobody waits for or has given up. Who answered is not known.
///
/// # Safety
/// As for [`message`].
unsafe fn unknown_answer(host: &Host, session: u32) {
    if let Some(handler) = host.handler_unknown.get() {
        unsafe { enter(host, handler, (RESPONSE, 0, session), 0) };
    }
}

/// Starts a coroutine with the message at hand, which owes an answer unless `owed` is 0.
///
/// # Safety
/// As for [`message`].
#[inline]
unsafe fn enter(host: &Host, handler: Handler, (kind, source, session): (u8, u32, u32), owed: u32) {
    unsafe {
        let Handler { function, unpacks } = handler;
        let Some((id, state)) = coroutine::obtain_outside(host) else {
            coroutine_refused(host, source, owed);
            return;
        };
        if let Some(thread) = host.threads.borrow_mut().get_mut(id) {
            thread.session = owed;
            thread.source = source;
            thread.handles = true;
        }
        lua_pushcfunction(state, if unpacks { enter_values } else { enter_bytes });
        lua_pushlightuserdata(state, std::ptr::from_ref(host) as *mut c_void);
        lua_rawgeti(state, LUA_REGISTRYINDEX, lua_Integer::from(function));
        lua_pushinteger(state, lua_Integer::from(session));
        lua_pushinteger(state, lua_Integer::from(source));
        if unpacks {
            coroutine::resume(host, host.main.get(), id, state, 4);
        } else {
            lua_pushinteger(state, lua_Integer::from(kind));
            coroutine::resume(host, host.main.get(), id, state, 5);
        }
    }
}

fn coroutine_refused(host: &Host, source: u32, session: u32) {
    host.caller.log(format!(
        "lua memory error : [{source:x} to :{:x} : {session}]",
        host.caller.handle().0
    ));
    if session != 0 {
        host.answer(source, session, Err(Error::remote("not enough memory")));
    }
}

/// The first function of a coroutine that handles values: host, function, session and source are on its stack.
unsafe extern "C-unwind" fn enter_values(state: State) -> c_int {
    unsafe {
        let host = &*lua_touserdata(state, 1).cast::<Host>();
        let count = unpack(state, host.body());
        lua_callk(state, 2 + count, 0, 0, Some(entered));
        0
    }
}

/// The same for handlers that unpack for themselves: they get the address and the size of the message.
unsafe extern "C-unwind" fn enter_bytes(state: State) -> c_int {
    unsafe {
        let host = &*lua_touserdata(state, 1).cast::<Host>();
        let body = host.body();
        push_body(state, body);
        lua_callk(state, 5, 0, 0, Some(entered));
        0
    }
}

unsafe extern "C-unwind" fn entered(_state: State, _status: c_int, _context: lua_KContext) -> c_int {
    0
}

/// Pushes the message at hand as Skynet's C interface knows it: a light userdata and a size.
///
/// # Safety
/// `state` has room for two values.
pub(super) unsafe fn push_body(state: State, body: *const [u8]) {
    unsafe {
        let address = if body.len() == 0 {
            std::ptr::null()
        } else {
            body.cast::<u8>()
        };
        lua_pushlightuserdata(state, address as *mut c_void);
        lua_pushinteger(state, body.len() as lua_Integer);
    }
}

/// Calls the one function that a service of Skynet's own library has for everything.
///
/// # Safety
/// As for [`message`].
pub(super) unsafe fn callback(
    host: &Host,
    function: i32,
    forward: bool,
    kind: u8,
    source: u32,
    session: u32,
) {
    unsafe {
        let body = host.body();
        if forward && body.len() > 0 {
            // The function owns the message and gives it up by sending it or with `trash`.
            let kept = host.message_at(body.cast::<u8>() as usize).map(buffer::give);
            if let Some(Err(text)) = kept {
                return log_error(host, source, session, text);
            }
        }
        let main = host.main.get();
        lua_pushcfunction(main, add_traceback);
        lua_rawgeti(main, LUA_REGISTRYINDEX, lua_Integer::from(function));
        lua_pushinteger(main, lua_Integer::from(kind));
        push_body(main, body);
        lua_pushinteger(main, lua_Integer::from(session));
        lua_pushinteger(main, lua_Integer::from(source));
        let status = lua_pcall(main, 5, 0, -7);
        if status != LUA_OK {
            let text = coroutine::error_text(host, main);
            log_error(host, source, session, &text);
            lua_pop(main, 1);
        }
        lua_pop(main, 1);
        // What our own library's functions have asked for, when the function is one of `skynet.forward_type`.
        coroutine::drain(host);
    }
}

/// A message handler of `lua_pcall`: adds the calls that led to an error.
pub(super) unsafe extern "C-unwind" fn add_traceback(state: State) -> c_int {
    unsafe {
        if string(state, 1).is_some() {
            luaL_traceback(state, state, lua_tolstring(state, 1, std::ptr::null_mut()), 1);
        } else {
            luaL_tolstring(state, 1, std::ptr::null_mut());
        }
        1
    }
}

/// `dispatch_message(kind, msg, sz, session, source)` of our own library: handles a message that a callback
/// got, as if it had come here first.
pub(super) unsafe extern "C-unwind" fn dispatch_message(state: State) -> c_int {
    unsafe {
        let host = super::host(state);
        let kind = lua_tointegerx(state, 1, std::ptr::null_mut()) as u8;
        let size = lua_tointegerx(state, 3, std::ptr::null_mut());
        let session = lua_tointegerx(state, 4, std::ptr::null_mut()) as u32;
        let source = lua_tointegerx(state, 5, std::ptr::null_mut()) as u32;
        let bytes = match lua_type(state, 2) {
            LUA_TSTRING => string(state, 2).map(Bytes::copy_from_slice),
            _ => super::core::look(host, lua_touserdata(state, 2) as usize, size),
        };
        let Some(bytes) = bytes else {
            return luaL_error(state, c"dispatch_message: no such message".as_ptr());
        };
        if kind != RESPONSE && kind != ERROR || session == 0 {
            host.set_message(bytes);
            native(host, kind, source, session);
            return 0;
        }
        match host.take_waiter(session) {
            Some(Waiter::One(id) | Waiter::Many(id)) => {
                host.set_message(bytes);
                host.outcome.set(if kind == RESPONSE {
                    Outcome::Values
                } else {
                    Outcome::Failed
                });
                host.answered_session.set(session);
                coroutine::resume_waiting(host, state, id);
            }
            None if kind == RESPONSE => {
                host.set_message(bytes);
                unknown_answer(host, session);
            }
            Some(Waiter::Broken) | None => {}
        }
        0
    }
}
