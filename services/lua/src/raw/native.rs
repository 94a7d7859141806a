//! The module `skyring.host`, on which the built-in `skynet.lua` is based. A call is a single function here: it packs,
//! sends and yields, and continues with the values of the answer.

use std::ffi::{CStr, c_int};

use bytes::Bytes;
use mlua::ffi::*;
use skyring::{Error, Handle, Kind, Payload};

use super::coroutine::{begin_wait, check_may_wait};
use super::dispatch::{self, push_body};
use super::waiting::{self, call_done, raise_failure};
use super::{State, add_functions, address, core, finish, host, pack, raise};
use super::{launches, node};
use crate::host::{ENGINE_SESSION, Handler, Host, Mode, Outcome};

/// The functions of the module, besides those of `waiting`.
const FUNCTIONS: [(&CStr, lua_CFunction); 17] = [
    (c"start", start),
    (c"handler", handler),
    (c"handler_unknown", handler_unknown),
    (c"dispatch_message", dispatch::dispatch_message),
    (c"call", call),
    (c"rawcall", raw_call),
    (c"send", send),
    (c"ret", ret),
    (c"retpack", ret_pack),
    (c"respond", respond),
    (c"take_call", take_call),
    (c"context", context),
    (c"is_response_pending", is_response_pending),
    (c"drop_responses", drop_responses),
    (c"fail_calls", fail_calls),
    (c"skip_answer", skip_answer),
    (c"memory_limit", memory_limit),
];

/// Pushes the module.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn push_module(state: State) {
    unsafe {
        lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        add_functions(state, &FUNCTIONS);
        add_functions(state, &waiting::FUNCTIONS);
        add_functions(state, &node::FUNCTIONS);
        add_functions(state, &launches::HOST_FUNCTIONS);
    }
}

/// `start()`: the host starts a coroutine for each message from now on.
unsafe extern "C-unwind" fn start(state: State) -> c_int {
    unsafe {
        host(state).mode.set(Mode::Native);
        0
    }
}

/// `handler(kind, function or nil, unpacks)`: sets the handler of a kind. With `unpacks` it gets session, source and the
/// values; without, it gets session, source, kind, address and size.
unsafe extern "C-unwind" fn handler(state: State) -> c_int {
    unsafe {
        let kind = luaL_checkinteger(state, 1);
        luaL_argcheck(
            state,
            c_int::from((0..=255).contains(&kind)),
            1,
            c"a kind is 0 to 255".as_ptr(),
        );
        let unpacks = lua_toboolean(state, 3) != 0;
        lua_settop(state, 2);
        let handler = (lua_type(state, 2) == LUA_TFUNCTION).then(|| Handler {
            function: luaL_ref(state, LUA_REGISTRYINDEX),
            unpacks,
        });
        let before = host(state).set_handler(kind as u8, handler);
        if let Some(before) = before {
            luaL_unref(state, LUA_REGISTRYINDEX, before.function);
        }
        0
    }
}

/// `handler_unknown(function)`: sets the handler for kinds that have none.
unsafe extern "C-unwind" fn handler_unknown(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        lua_settop(state, 1);
        let function = luaL_ref(state, LUA_REGISTRYINDEX);
        host(state).handler_unknown.set(Some(Handler {
            function,
            unpacks: false,
        }));
        0
    }
}

/// `call(address, kind, ...)`: returns the values of the answer, or raises its error.
pub(super) unsafe extern "C-unwind" fn call(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match begin_call(state, host, || pack::pack(state, host, 2, true)) {
            Ok(()) => {
                lua_settop(state, 0);
                lua_yieldk(state, 0, 0, Some(call_done))
            }
            Err(text) => raise(state, host, text),
        }
    }
}

/// Sends a call with the bytes of `payload`, and registers that the running coroutine waits for the answer.
///
/// # Safety
/// `state` runs `call` or `raw_call`; neither the caller nor `payload` has anything to drop when `payload` raises.
#[inline]
unsafe fn begin_call(
    state: State,
    host: &Host,
    payload: impl FnOnce() -> Result<Bytes, String>,
) -> Result<(), String> {
    unsafe {
        check_may_wait(state, host)?;
        let target = address(state, host, 1)?;
        let kind = Kind(lua_tointegerx(state, 2, std::ptr::null_mut()) as u8);
        let payload = Payload(payload()?);
        let Some(target) = target else {
            return Err(no_service(state));
        };
        let session = host.next_session();
        begin_wait(host, session, target.0);
        host.caller.post(target, kind, session, payload);
        Ok(())
    }
}

/// # Safety
/// The address is the first value of the stack.
#[cold]
unsafe fn no_service(state: State) -> String {
    let name = unsafe { super::string(state, 1) }.unwrap_or_default();
    let address = String::from_utf8_lossy(name).as_ref().into();
    Error::NoSuchService { address }.to_string()
}

/// `rawcall(address, kind, message [, size])`: address and size of the answer.
unsafe extern "C-unwind" fn raw_call(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match begin_call(state, host, || core::message(state, host, 3)) {
            Ok(()) => {
                lua_settop(state, 0);
                lua_yieldk(state, 0, 0, Some(raw_call_done))
            }
            Err(text) => raise(state, host, text),
        }
    }
}

unsafe extern "C-unwind" fn raw_call_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe {
        let host = host(state);
        let body = host.body();
        lua_settop(state, 0);
        if host.outcome.get() == Outcome::Values {
            push_body(state, body);
            return 2;
        }
        raise_failure(state, host, body)
    }
}

/// `send(address, kind, ...)`: packs and sends; 0, or no value if the service does not exist.
unsafe extern "C-unwind" fn send(state: State) -> c_int {
    unsafe {
        let host = host(state);
        finish(state, host, send_values(state, host))
    }
}

/// # Safety
/// `state` runs `send`.
unsafe fn send_values(state: State, host: &Host) -> Result<c_int, String> {
    unsafe {
        let target = address(state, host, 1)?;
        let kind = Kind(lua_tointegerx(state, 2, std::ptr::null_mut()) as u8);
        let payload = Payload(pack::pack(state, host, 2, true)?);
        match target {
            Some(target) if host.caller.may_exist(target) => {
                host.caller.post(target, kind, 0, payload);
                lua_pushinteger(state, 0);
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}

/// Takes source and session of the message that the running coroutine handles. `None`: it handles none. Session 0: the
/// message is a send, or is already answered.
fn take_session(host: &Host) -> Option<(u32, u32)> {
    let mut threads = host.threads.borrow_mut();
    let thread = threads.get_mut(host.running.get())?;
    if !thread.handles_message {
        return None;
    }
    let taken = (thread.source, thread.session);
    thread.session = 0;
    Some(taken)
}

/// `ret(message [, size])`: answers the current call; whether the caller may still wait for it.
unsafe extern "C-unwind" fn ret(state: State) -> c_int {
    unsafe {
        let host = host(state);
        if lua_type(state, 1) <= LUA_TNIL {
            return answer(state, host, Payload::default());
        }
        match core::message(state, host, 1) {
            Ok(bytes) => answer(state, host, Payload(bytes)),
            Err(text) => raise(state, host, text),
        }
    }
}

/// `retpack(...)`: answers the current call with values.
unsafe extern "C-unwind" fn ret_pack(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match pack::pack(state, host, 0, true) {
            Ok(bytes) => answer(state, host, Payload(bytes)),
            Err(text) => raise(state, host, text),
        }
    }
}

/// # Safety
/// As for [`raise`]; `payload` is moved before anything is raised.
#[inline]
unsafe fn answer(state: State, host: &Host, payload: Payload) -> c_int {
    unsafe {
        match take_session(host) {
            Some((source, session)) if session != 0 => {
                // A caller that has ended on this shard does not wait.
                let waits = session & ENGINE_SESSION != 0 || host.caller.may_exist(Handle(source));
                host.answer(source, session, Ok(payload));
                lua_pushboolean(state, c_int::from(waits));
            }
            Some(_) => {
                drop(payload);
                lua_pushboolean(state, 0);
            }
            None => {
                drop(payload);
                return luaL_error(state, c"there is no message to answer here".as_ptr());
            }
        }
        1
    }
}

/// `take_call()`: session and source of the current call, which `respond` must answer.
unsafe extern "C-unwind" fn take_call(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let Some((source, session)) = take_session(host) else {
            return 0;
        };
        if session != 0 {
            host.add_pending_response(source, session);
        }
        lua_pushinteger(state, lua_Integer::from(session));
        lua_pushinteger(state, lua_Integer::from(source));
        2
    }
}

/// `context()`: session and source of the current message; the session is 0 once it is answered.
unsafe extern "C-unwind" fn context(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let Some(thread) = host
            .thread(host.running.get())
            .filter(|thread| thread.handles_message)
        else {
            return 0;
        };
        lua_pushinteger(state, lua_Integer::from(thread.session));
        lua_pushinteger(state, lua_Integer::from(thread.source));
        2
    }
}

/// # Safety
/// Session and source are the first values of the stack.
unsafe fn session_and_source(state: State) -> (u32, u32) {
    unsafe {
        let session = lua_tointegerx(state, 1, std::ptr::null_mut()) as u32;
        let source = lua_tointegerx(state, 2, std::ptr::null_mut()) as u32;
        (source, session)
    }
}

/// `respond(session, source, ok, message or text [, size])`: answers a call that was taken; false if it is
/// not pending any more.
unsafe extern "C-unwind" fn respond(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let result = respond_with(state, host);
        finish(
            state,
            host,
            result.map(|answered| {
                lua_pushboolean(state, c_int::from(answered));
                1
            }),
        )
    }
}

/// # Safety
/// `state` runs `respond`.
unsafe fn respond_with(state: State, host: &Host) -> Result<bool, String> {
    unsafe {
        let (source, session) = session_and_source(state);
        let message = core::message(state, host, 4)?;
        if !host.take_pending_response(source, session) {
            return Ok(false);
        }
        let result = if lua_toboolean(state, 3) != 0 {
            Ok(Payload(message))
        } else {
            Err(Error::remote(String::from_utf8_lossy(&message).as_ref()))
        };
        host.answer(source, session, result);
        Ok(true)
    }
}

/// `is_response_pending(session, source)`: whether a call that was taken is still pending.
unsafe extern "C-unwind" fn is_response_pending(state: State) -> c_int {
    unsafe {
        let (source, session) = session_and_source(state);
        lua_pushboolean(
            state,
            c_int::from(host(state).has_pending_response(source, session)),
        );
        1
    }
}

/// `drop_responses(source)`: drops the pending calls of a service that has ended.
unsafe extern "C-unwind" fn drop_responses(state: State) -> c_int {
    unsafe {
        host(state).drop_pending_responses(lua_tointegerx(state, 1, std::ptr::null_mut()) as u32);
        0
    }
}

/// `fail_calls(service)`: fails the waiting calls to a service.
unsafe extern "C-unwind" fn fail_calls(state: State) -> c_int {
    unsafe {
        let target = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        loop {
            let session = host.threads.borrow_mut().take_call_to(target);
            let Some(session) = session else {
                return 0;
            };
            let error = Error::remote(format!("the service :{target:08x} was terminated"));
            host.caller.answer_post(host.caller.handle(), session, Err(error));
        }
    }
}

/// `skip_answer()`: the coroutine does not answer the current call itself.
unsafe extern "C-unwind" fn skip_answer(state: State) -> c_int {
    unsafe {
        let _ = take_session(host(state));
        0
    }
}

/// `memory_limit(bytes)`: sets the memory limit that applies once the main chunk has run; 0: no limit.
unsafe extern "C-unwind" fn memory_limit(state: State) -> c_int {
    unsafe {
        let bytes = luaL_checkinteger(state, 1);
        let host = host(state);
        host.memory_limit.set(usize::try_from(bytes).unwrap_or(0));
        0
    }
}
