//! The module `skynet.profile`, and the `coroutine.resume` and `coroutine.wrap` of every service. They record which
//! coroutine runs, so that `signal` can interrupt it, and measure its time if it is profiled.

use std::ffi::{CStr, c_int};
use std::sync::atomic::Ordering;

use mlua::ffi::*;

use super::{State, add_functions, host};
use crate::host::Host;

/// The functions of the module.
const FUNCTIONS: [(&CStr, lua_CFunction); 4] = [
    (c"start", start),
    (c"stop", stop),
    (c"resume", resume),
    (c"wrap", wrap),
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

/// Replaces Lua's own `coroutine.resume` and `coroutine.wrap`.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn replace(state: State) {
    unsafe {
        lua_getglobal(state, c"coroutine".as_ptr());
        add_functions(state, &[(c"resume", resume), (c"wrap", wrap)]);
        lua_pop(state, 1);
    }
}

/// Processor time of this thread, in nanoseconds.
fn processor_time() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Records that a coroutine begins to run, and returns the previous one.
#[inline]
pub(super) fn switch_to(host: &Host, state: State) -> State {
    if host.is_profiling.get() {
        begin(host, state);
    }
    host.activity.active.swap(state, Ordering::Relaxed)
}

/// Records that the coroutine has yielded or ended, and that `before` runs again.
#[inline]
pub(super) fn switch_back(host: &Host, state: State, before: State) {
    host.activity.active.store(before, Ordering::Relaxed);
    if host.is_profiling.get() {
        end(host, state);
    }
}

#[cold]
fn begin(host: &Host, state: State) {
    if let Some(times) = host.profiles.borrow_mut().get_mut(&state) {
        times.0 = processor_time();
    }
}

#[cold]
fn end(host: &Host, state: State) {
    if let Some(times) = host.profiles.borrow_mut().get_mut(&state) {
        times.1 += processor_time() - times.0;
    }
}

/// The coroutine that is the first argument, or else the running one.
///
/// # Safety
/// `state` runs a function of this module.
unsafe fn coroutine_argument(state: State) -> State {
    unsafe {
        if lua_type(state, 1) == LUA_TTHREAD {
            lua_tothread(state, 1)
        } else {
            state
        }
    }
}

/// `start([coroutine])`: measures its processor time from now on.
unsafe extern "C-unwind" fn start(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let thread = coroutine_argument(state);
        if host.profiles.borrow().contains_key(&thread) {
            return luaL_error(state, c"the coroutine is already profiled".as_ptr());
        }
        host.profiles.borrow_mut().insert(thread, (processor_time(), 0));
        host.is_profiling.set(true);
        0
    }
}

/// `stop([coroutine])`: its processor time since `start`, in seconds.
unsafe extern "C-unwind" fn stop(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let thread = coroutine_argument(state);
        let times = host.profiles.borrow_mut().remove(&thread);
        let Some((since, total)) = times else {
            return luaL_error(state, c"call profile.start before profile.stop".as_ptr());
        };
        let none_left = host.profiles.borrow().is_empty();
        if none_left {
            host.is_profiling.set(false);
        }
        let running = if thread == state {
            processor_time() - since
        } else {
            0
        };
        lua_pushnumber(state, (total + running) as f64 / 1e9);
        1
    }
}

/// Resumes a coroutine with the values on top of `state`, which then has the results, or the error, on top. `Err`: the
/// coroutine failed.
///
/// # Safety
/// `state` runs in protected mode, with `arguments` values on top; `thread` is another coroutine.
unsafe fn resume_with(state: State, thread: State, arguments: c_int) -> Result<c_int, ()> {
    unsafe {
        if lua_checkstack(thread, arguments) == 0 {
            lua_pushstring(state, c"too many arguments to resume".as_ptr());
            return Err(());
        }
        lua_xmove(state, thread, arguments);
        let host = host(state);
        let mut results = 0;
        let before = switch_to(host, thread);
        let status = lua_resume(thread, state, arguments, &mut results);
        switch_back(host, thread, before);
        if status != LUA_OK && status != LUA_YIELD {
            lua_xmove(thread, state, 1);
            return Err(());
        }
        if lua_checkstack(state, results + 1) == 0 {
            lua_pop(thread, results);
            lua_pushstring(state, c"too many results to resume".as_ptr());
            return Err(());
        }
        lua_xmove(thread, state, results);
        Ok(results)
    }
}

/// `resume(coroutine, ...)`, as in Lua.
unsafe extern "C-unwind" fn resume(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTHREAD);
        let thread = lua_tothread(state, 1);
        match resume_with(state, thread, lua_gettop(state) - 1) {
            Ok(results) => {
                lua_pushboolean(state, 1);
                lua_insert(state, -(results + 1));
                results + 1
            }
            Err(()) => {
                lua_pushboolean(state, 0);
                lua_insert(state, -2);
                2
            }
        }
    }
}

/// `wrap(function)`, as in Lua.
unsafe extern "C-unwind" fn wrap(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let thread = lua_newthread(state);
        lua_pushvalue(state, 1);
        lua_xmove(state, thread, 1);
        lua_pushcclosure(state, wrapped, 1);
        1
    }
}

/// The function that `wrap` returns: the coroutine is its upvalue.
unsafe extern "C-unwind" fn wrapped(state: State) -> c_int {
    unsafe {
        let thread = lua_tothread(state, lua_upvalueindex(1));
        match resume_with(state, thread, lua_gettop(state)) {
            Ok(results) => results,
            Err(()) => {
                let status = lua_status(thread);
                if status != LUA_OK && status != LUA_YIELD {
                    // Closes pending to-be-closed variables, which may replace the error.
                    lua_closethread(thread, state);
                    lua_pop(state, 1);
                    lua_xmove(thread, state, 1);
                }
                if lua_type(state, -1) == LUA_TSTRING {
                    luaL_where(state, 1);
                    lua_insert(state, -2);
                    lua_concat(state, 2);
                }
                lua_error(state)
            }
        }
    }
}
