//! The functions of `skyring.host` that start, suspend and end coroutines.

use std::ffi::{CStr, c_int};

use mlua::ffi::*;

use super::coroutine::{self, begin_wait, check_may_wait};
use super::unpack::unpack;
use super::{State, finish, host, push_bytes, raise, type_name};
use crate::command::ticks;
use crate::host::{Host, Mode, NO_THREAD, Outcome, Waiter};

/// The functions of this file for the module.
pub(super) const FUNCTIONS: [(&CStr, lua_CFunction); 16] = [
    (c"fork", fork),
    (c"timeout", timeout),
    (c"timer", timer),
    (c"suspend", suspend),
    (c"await", wait),
    (c"drop_wait", drop_wait),
    (c"waiting_session", waiting_session),
    (c"wakeup", wakeup),
    (c"thread", thread),
    (c"watch", watch),
    (c"unwatch", unwatch),
    (c"receive", receive),
    (c"kill", kill),
    (c"tasks", tasks),
    (c"running", running),
    (c"quit", quit),
];

/// Creates a coroutine from the function at `index` and the values above it, and pushes it.
///
/// # Safety
/// `state` runs in protected mode, and a function is at `index`.
unsafe fn prepare(state: State, host: &Host, index: c_int) -> u32 {
    unsafe {
        let arguments = lua_gettop(state) - index;
        luaL_checkstack(state, 3, std::ptr::null());
        let (id, thread) = coroutine::obtain(state, host);
        if lua_checkstack(thread, arguments + 1) == 0 {
            coroutine::remove(host, id);
            luaL_error(state, c"too many arguments".as_ptr());
        }
        lua_xmove(state, thread, arguments + 1);
        let anchor = host.threads.borrow_mut().get_mut(id).map_or(LUA_NOREF, |entry| {
            entry.arguments = arguments;
            entry.anchor
        });
        lua_rawgeti(state, LUA_REGISTRYINDEX, lua_Integer::from(anchor));
        id
    }
}

/// `fork(function, ...)`: runs it after the current message has been handled; returns the coroutine.
unsafe extern "C-unwind" fn fork(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let host = host(state);
        let id = prepare(state, host, 1);
        host.forks.borrow_mut().push_back(id);
        1
    }
}

/// `timeout(ticks, function)`: runs it after that many hundredths of a second; returns the coroutine and
/// its session.
unsafe extern "C-unwind" fn timeout(state: State) -> c_int {
    unsafe {
        let count = luaL_checkinteger(state, 1);
        luaL_checktype(state, 2, LUA_TFUNCTION);
        lua_settop(state, 2);
        let host = host(state);
        let id = prepare(state, host, 2);
        let session = host.next_session();
        host.wait_for(session, Waiter::One(id));
        host.caller.wake_after(ticks(count), session);
        lua_pushinteger(state, lua_Integer::from(session));
        2
    }
}

/// `timer(ticks)`: a session that is answered after that time.
unsafe extern "C-unwind" fn timer(state: State) -> c_int {
    unsafe {
        let count = luaL_checkinteger(state, 1);
        let host = host(state);
        let session = host.next_session();
        host.caller.wake_after(ticks(count), session);
        lua_pushinteger(state, lua_Integer::from(session));
        1
    }
}

/// Suspends the running coroutine until the session that is the first argument is answered, and then runs `done`.
///
/// # Safety
/// `state` runs a function of this module, and the caller has nothing to drop.
unsafe fn wait_for_answer(
    state: State,
    done: unsafe extern "C-unwind" fn(State, c_int, lua_KContext) -> c_int,
) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        if let Err(text) = check_may_wait(state, host) {
            return raise(state, host, text);
        }
        begin_wait(host, session, 0);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(done))
    }
}

/// `suspend(session)`: waits for a session; true if `wakeup` ended the wait early.
unsafe extern "C-unwind" fn suspend(state: State) -> c_int {
    unsafe { wait_for_answer(state, suspend_done) }
}

unsafe extern "C-unwind" fn suspend_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe {
        let woken = host(state).outcome.get() == Outcome::Woken;
        lua_pushboolean(state, c_int::from(woken));
        1
    }
}

/// `await(session)`: waits for a session that a module answers; returns the values or raises the error.
unsafe extern "C-unwind" fn wait(state: State) -> c_int {
    unsafe { wait_for_answer(state, call_done) }
}

/// Continues a call when its answer has arrived: the values, or the error, raised.
pub(super) unsafe extern "C-unwind" fn call_done(
    state: State,
    _status: c_int,
    _context: lua_KContext,
) -> c_int {
    unsafe {
        let host = host(state);
        let body = host.body();
        lua_settop(state, 0);
        if host.outcome.get() == Outcome::Values {
            return unpack(state, body);
        }
        raise_failure(state, host, body)
    }
}

/// Raises the error that a call failed with.
///
/// # Safety
/// As for [`raise`].
#[cold]
pub(super) unsafe fn raise_failure(state: State, host: &Host, body: *const [u8]) -> c_int {
    unsafe {
        match host.outcome.get() {
            Outcome::Failed => push_bytes(state, body),
            _ => push_bytes(state, std::ptr::from_ref(b"the call was cancelled".as_slice())),
        }
        lua_error(state)
    }
}

/// `wakeup(session)`: resumes the coroutine that waits for it, once the running one yields.
unsafe extern "C-unwind" fn wakeup(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        host(state).woken.borrow_mut().push_back(session);
        0
    }
}

/// `thread(function, ...)`: runs it at once in its own coroutine, until it yields; returns the coroutine.
unsafe extern "C-unwind" fn thread(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let host = host(state);
        let id = prepare(state, host, 1);
        coroutine::resume_waiting(host, state, id);
        // The flag was set by the other coroutine; the running one has not yielded.
        host.yielded_to_host.set(false);
        1
    }
}

/// The coroutine at `index`.
///
/// # Safety
/// `index` is valid or beyond the top.
unsafe fn thread_at(state: State, host: &Host, index: c_int) -> Result<u32, String> {
    unsafe {
        let found = match lua_type(state, index) {
            LUA_TTHREAD => host.threads.borrow().find(lua_tothread(state, index)),
            _ => None,
        };
        found.ok_or_else(|| {
            format!(
                "expected a coroutine of the service, not this {}",
                type_name(state, index)
            )
        })
    }
}

/// `watch(session, coroutine)`: passes the answer to a coroutine that waits in `receive`.
unsafe extern "C-unwind" fn watch(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        let result = thread_at(state, host, 2).map(|id| {
            host.wait_for(session, Waiter::Many(id));
            0
        });
        finish(state, host, result)
    }
}

/// `unwatch(session)`: cancels the wait; a later answer is dropped.
unsafe extern "C-unwind" fn unwatch(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        if host.waiter(session).is_some() {
            host.wait_for(session, Waiter::Cancelled);
        }
        0
    }
}

/// `drop_wait(session)`: removes the wait for a session that will not be answered.
unsafe extern "C-unwind" fn drop_wait(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let _ = host(state).take_waiter(session);
        0
    }
}

/// `waiting_session(coroutine)`: the session for which it waits.
unsafe extern "C-unwind" fn waiting_session(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let Ok(id) = thread_at(state, host, 1) else {
            return 0;
        };
        let session = host.thread(id).map_or(0, |thread| thread.waiting);
        lua_pushinteger(state, lua_Integer::from(session));
        1
    }
}

/// `receive()`: waits for the next answer to a session that `watch` has assigned to this coroutine; returns the session,
/// whether it succeeded, and the values or the text of the error.
unsafe extern "C-unwind" fn receive(state: State) -> c_int {
    unsafe {
        let host = host(state);
        if let Err(text) = check_may_wait(state, host) {
            return raise(state, host, text);
        }
        host.yielded_to_host.set(true);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(receive_done))
    }
}

unsafe extern "C-unwind" fn receive_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe {
        let host = host(state);
        let body = host.body();
        let answered = host.outcome.get() == Outcome::Values;
        lua_settop(state, 0);
        lua_pushinteger(state, lua_Integer::from(host.answered_session.get()));
        lua_pushboolean(state, c_int::from(answered));
        if answered {
            return 2 + unpack(state, body);
        }
        push_bytes(state, body);
        3
    }
}

/// `kill(coroutine)`: ends a waiting coroutine and returns it; no value if the service has no such coroutine.
unsafe extern "C-unwind" fn kill(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let Ok(id) = thread_at(state, host, 1) else {
            return 0;
        };
        if id == host.running.get() {
            return luaL_error(state, c"a coroutine cannot kill itself".as_ptr());
        }
        coroutine::kill(host, state, id);
        lua_settop(state, 1);
        1
    }
}

/// `tasks()`: a table of sessions and the coroutines that wait for them; false for a cancelled wait.
unsafe extern "C-unwind" fn tasks(state: State) -> c_int {
    unsafe {
        let host = host(state);
        lua_createtable(state, 0, 0);
        let mut index = 0;
        // One at a time, because an error for lack of memory would leak a list.
        while let Some((session, waiter)) = host.nth_waiting(index) {
            index += 1;
            let anchor = match waiter {
                Waiter::One(id) | Waiter::Many(id) => host.thread(id).map(|thread| thread.anchor),
                Waiter::Cancelled => None,
            };
            match anchor {
                Some(anchor) => {
                    lua_rawgeti(state, LUA_REGISTRYINDEX, lua_Integer::from(anchor));
                }
                None => lua_pushboolean(state, 0),
            }
            lua_rawseti(state, -2, lua_Integer::from(session));
        }
        1
    }
}

/// `running()`: the coroutine that the host runs, in which others may be nested; no value if none runs.
unsafe extern "C-unwind" fn running(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match host.thread(host.running.get()) {
            Some(thread) => {
                lua_rawgeti(state, LUA_REGISTRYINDEX, lua_Integer::from(thread.anchor));
                1
            }
            None => 0,
        }
    }
}

/// `quit()`: ends all other coroutines, then the running one, because the service ends. Their to-be-closed variables are
/// closed.
unsafe extern "C-unwind" fn quit(state: State) -> c_int {
    unsafe {
        let host = host(state);
        host.mode.set(Mode::Inactive);
        host.quitting.set(host.running.get());
        host.woken.borrow_mut().clear();
        let mut next = host.threads.borrow().first_busy(0);
        while let Some(id) = next {
            if id != host.running.get() {
                coroutine::kill(host, state, id);
            }
            next = host.threads.borrow().first_busy(id + 1);
        }
        host.fail_pending_calls();
        if host.running.get() == NO_THREAD || lua_isyieldable(state) == 0 {
            return 0;
        }
        host.yielded_to_host.set(true);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(quit_done))
    }
}

unsafe extern "C-unwind" fn quit_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe { luaL_error(state, c"the service has ended".as_ptr()) }
}
