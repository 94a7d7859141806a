//! Passes messages and answers from the engine to Lua.

use std::ffi::{c_int, c_void};

use bytes::Bytes;
use mlua::ffi::*;
use skyring::{Error, Payload};

use super::coroutine::{self, log_error};
use super::unpack::unpack;
use super::{State, string};
use crate::buffer;
use crate::host::{Handler, Host, Mode, Outcome, Waiter};
use crate::kind::{ERROR, RESPONSE};

/// Handles one message. A call is answered later, by `source` and `session`.
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
            Mode::Inactive if session != 0 => {
                let error = Error::remote("the service has not called skynet.start");
                host.answer(source, session, Err(error));
            }
            Mode::Inactive => {}
        }
    }
}

/// Passes on the answer to the call or operation with this session.
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
            // The coroutine that asked does not wait any more.
            Some(Waiter::Cancelled) | None => {}
        }
    }
}

#[inline]
fn begin(host: &Host, bytes: Bytes) {
    host.messages.set(host.messages.get() + 1);
    host.set_message(bytes);
    // Bytes are left in the buffer only if packing ran out of memory.
    // SAFETY: nothing runs in the interpreter, so nothing else refers to the buffer.
    unsafe { (*host.scratch.get()).clear() };
}

/// # Safety
/// As for [`message`].
unsafe fn native(host: &Host, kind: u8, source: u32, session: u32) {
    unsafe {
        let handler = host.handler(kind).or(host.handler_unknown.get());
        let Some(handler) = handler else {
            if session != 0 {
                let error = Error::remote(format!("the service does not handle messages of kind {kind}"));
                host.answer(source, session, Err(error));
            }
            return;
        };
        start_handler(host, handler, (kind, source, session), session);
    }
}

/// Passes an answer to a session without a waiter to the handler of unknown kinds. Its source is not known.
///
/// # Safety
/// As for [`message`].
unsafe fn unknown_answer(host: &Host, session: u32) {
    if let Some(handler) = host.handler_unknown.get() {
        unsafe { start_handler(host, handler, (RESPONSE, 0, session), 0) };
    }
}

/// Starts a coroutine that handles the current message. It must answer `call_session` unless that is 0.
///
/// # Safety
/// As for [`message`].
#[inline]
unsafe fn start_handler(
    host: &Host,
    handler: Handler,
    (kind, source, session): (u8, u32, u32),
    call_session: u32,
) {
    unsafe {
        let Handler { function, unpacks } = handler;
        let Some((id, state)) = coroutine::obtain_outside(host) else {
            fail_without_memory(host, source, call_session);
            return;
        };
        if let Some(thread) = host.threads.borrow_mut().get_mut(id) {
            thread.session = call_session;
            thread.source = source;
            thread.handles_message = true;
        }
        lua_pushcfunction(state, if unpacks { handle_values } else { handle_bytes });
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

fn fail_without_memory(host: &Host, source: u32, session: u32) {
    host.caller.log(format!(
        "lua memory error : [{source:x} to :{:x} : {session}]",
        host.caller.handle().0
    ));
    if session != 0 {
        host.answer(source, session, Err(Error::remote("not enough memory")));
    }
}

/// The entry function for handlers of unpacked values. On the stack: host, function, session, source.
unsafe extern "C-unwind" fn handle_values(state: State) -> c_int {
    unsafe {
        let host = &*lua_touserdata(state, 1).cast::<Host>();
        let count = unpack(state, host.body());
        lua_callk(state, 2 + count, 0, 0, Some(handled));
        0
    }
}

/// The entry function for handlers that unpack themselves: they get the kind, and address and size of the message.
unsafe extern "C-unwind" fn handle_bytes(state: State) -> c_int {
    unsafe {
        let host = &*lua_touserdata(state, 1).cast::<Host>();
        let body = host.body();
        push_body(state, body);
        lua_callk(state, 5, 0, 0, Some(handled));
        0
    }
}

unsafe extern "C-unwind" fn handled(_state: State, _status: c_int, _context: lua_KContext) -> c_int {
    0
}

/// Pushes the current message as in Skynet's C interface: a light userdata and a size.
///
/// # Safety
/// The stack of `state` has space for two values.
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

/// Calls the function that handles all messages of the service, as in Skynet's own library.
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
            // The function owns the message and releases it by sending it or with `trash`.
            let inserted = host.message_at(body.cast::<u8>() as usize).map(buffer::insert);
            if let Some(Err(text)) = inserted {
                return log_error(host, source, session, text.as_bytes());
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
        // With `skynet.forward_type` the function may have queued coroutines.
        coroutine::drain(host);
    }
}

/// A message handler of `lua_pcall`: adds a traceback to an error.
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

/// `dispatch_message(kind, msg, sz, session, source)` of the built-in library: handles a message that a callback got as
/// the host would.
pub(super) unsafe extern "C-unwind" fn dispatch_message(state: State) -> c_int {
    unsafe {
        let host = super::host(state);
        let kind = lua_tointegerx(state, 1, std::ptr::null_mut()) as u8;
        let size = lua_tointegerx(state, 3, std::ptr::null_mut());
        let session = lua_tointegerx(state, 4, std::ptr::null_mut()) as u32;
        let source = lua_tointegerx(state, 5, std::ptr::null_mut()) as u32;
        let bytes = match lua_type(state, 2) {
            LUA_TSTRING => string(state, 2).map(Bytes::copy_from_slice),
            _ => super::core::peek(host, lua_touserdata(state, 2) as usize, size),
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
            Some(Waiter::Cancelled) | None => {}
        }
        0
    }
}
