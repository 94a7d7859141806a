//! The functions of `skyring.host` with which coroutines begin, wait and end.

use std::ffi::{CStr, c_int};

use mlua::ffi::*;

use super::coroutine::{self, check_may_wait, park};
use super::native::call_done;
use super::unpack::unpack;
use super::{State, finish, host, push_bytes, raise, type_name};
use crate::command::ticks;
use crate::host::{Host, Mode, NOBODY, Outcome, Waiter};

/// All of them.
pub(super) const FUNCTIONS: [(&CStr, lua_CFunction); 16] = [
    (c"fork", fork),
    (c"timeout", timeout),
    (c"timer", timer),
    (c"suspend", suspend),
    (c"await", wait),
    (c"unwait", unwait),
    (c"waits", waits),
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

/// Makes a coroutine of the function at `index` and the values above it, and pushes it.
///
/// # Safety
/// `state` runs in protected mode, and a function stands at `index`.
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

/// `fork(function, ...)`: runs it when the present message has been handled; gives the coroutine.
unsafe extern "C-unwind" fn fork(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let host = host(state);
        let id = prepare(state, host, 1);
        host.forks.borrow_mut().push_back(id);
        1
    }
}

/// `timeout(ticks, function)`: runs it after that many hundredths of a second; gives the coroutine and its
/// session.
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

/// `suspend(session)`: waits for a session; true when it was woken before.
unsafe extern "C-unwind" fn suspend(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        if let Err(text) = check_may_wait(state, host) {
            return raise(state, host, text);
        }
        park(host, session, 0);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(suspend_done))
    }
}

unsafe extern "C-unwind" fn suspend_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe {
        let broken = host(state).outcome.get() == Outcome::Broken;
        lua_pushboolean(state, c_int::from(broken));
        1
    }
}

/// `await(session)`: waits for a session that a module answers: the values, or the error, raised.
unsafe extern "C-unwind" fn wait(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        if let Err(text) = check_may_wait(state, host) {
            return raise(state, host, text);
        }
        park(host, session, 0);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(call_done))
    }
}

/// `wakeup(session)`: has the coroutine that waits for it go on once the running one lets go.
unsafe extern "C-unwind" fn wakeup(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        host(state).woken.borrow_mut().push_back(session);
        0
    }
}

/// `thread(function, ...)`: runs it at once in a coroutine of its own, until it lets go; gives the coroutine.
unsafe extern "C-unwind" fn thread(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let host = host(state);
        let id = prepare(state, host, 1);
        coroutine::resume_waiting(host, state, id);
        // It is the running one again that lets go, or not.
        host.parked.set(false);
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
                "a coroutine of the service is wanted, and this {} is none",
                type_name(state, index)
            )
        })
    }
}

/// `watch(session, coroutine)`: the answer goes to a coroutine that waits in `receive`.
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

/// `unwatch(session)`: nobody waits for it any more; an answer that comes is dropped.
unsafe extern "C-unwind" fn unwatch(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let host = host(state);
        if host.waiter(session).is_some() {
            host.wait_for(session, Waiter::Broken);
        }
        0
    }
}

/// `unwait(session)`: forgets a session that nobody will answer.
unsafe extern "C-unwind" fn unwait(state: State) -> c_int {
    unsafe {
        let session = luaL_checkinteger(state, 1) as u32;
        let _ = host(state).take_waiter(session);
        0
    }
}

/// `waits(coroutine)`: the session that it waits for.
unsafe extern "C-unwind" fn waits(state: State) -> c_int {
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

/// `receive()`: waits for the next of the sessions that `watch` has given this coroutine: the session, whether
/// it was answered, and the values or the text of the error.
unsafe extern "C-unwind" fn receive(state: State) -> c_int {
    unsafe {
        let host = host(state);
        if let Err(text) = check_may_wait(state, host) {
            return raise(state, host, text);
        }
        host.parked.set(true);
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

/// `kill(coroutine)`: ends one that waits; nothing when there is none.
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

/// `tasks()`: a table of sessions and the coroutines that wait for them, false where nobody does any more.
unsafe extern "C-unwind" fn tasks(state: State) -> c_int {
    unsafe {
        let host = host(state);
        lua_createtable(state, 0, 0);
        let mut index = 0;
        // One at a time, so that running out of memory leaves no list behind.
        while let Some((session, waiter)) = host.nth_waiting(index) {
            index += 1;
            let anchor = match waiter {
                Waiter::One(id) | Waiter::Many(id) => host.thread(id).map(|thread| thread.anchor),
                Waiter::Broken => None,
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

/// `running()`: the coroutine that the host runs, of which others may be nested; nothing outside.
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

/// `quit()`: lets go for good, because the service ends; ends every other coroutine first.
unsafe extern "C-unwind" fn quit(state: State) -> c_int {
    unsafe {
        let host = host(state);
        host.mode.set(Mode::Silent);
        host.woken.borrow_mut().clear();
        let mut next = host.threads.borrow().first_busy(0);
        while let Some(id) = next {
            if id != host.running.get() {
                coroutine::kill(host, state, id);
            }
            next = host.threads.borrow().first_busy(id + 1);
        }
        host.give_up();
        if host.running.get() == NOBODY || lua_isyieldable(state) == 0 {
            return 0;
        }
        host.parked.set(true);
        lua_settop(state, 0);
        lua_yieldk(state, 0, 0, Some(quit_done))
    }
}

unsafe extern "C-unwind" fn quit_done(state: State, _status: c_int, _context: lua_KContext) -> c_int {
    unsafe { luaL_error(state, c"the service has ended".as_ptr()) }
}
