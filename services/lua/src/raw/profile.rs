//! The module `skynet.profile`, and the `coroutine.resume` and `coroutine.wrap` that every service has: they note
//! which coroutine runs, for whoever wants to stop it, and count its time if that is asked for.

use std::ffi::{CStr, c_int};
use std::sync::atomic::Ordering;

use mlua::ffi::*;

use super::{State, add_functions, host};
use crate::host::Host;

/// The module's functions.
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
pub(super) unsafe fn push_module(state: State, host: *const Host) {
    unsafe {
        lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        add_functions(state, host, &FUNCTIONS);
    }
}

/// Puts them in the place of Lua's own.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn replace(state: State, host: *const Host) {
    unsafe {
        lua_getglobal(state, c"coroutine".as_ptr());
        add_functions(state, host, &[(c"resume", resume), (c"wrap", wrap)]);
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

/// A coroutine begins to run: notes it, and gives the one before.
#[inline]
pub(super) fn switch_to(host: &Host, state: State) -> State {
    if host.profiled.get() {
        begin(host, state);
    }
    host.note.active.swap(state, Ordering::Relaxed)
}

/// It has let go, and `before` runs again.
#[inline]
pub(super) fn switch_back(host: &Host, state: State, before: State) {
    host.note.active.store(before, Ordering::Relaxed);
    if host.profiled.get() {
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

/// The coroutine that is meant: the first argument, or the one that runs.
///
/// # Safety
/// `state` runs a function of this module.
unsafe fn meant(state: State) -> State {
    unsafe {
        if lua_type(state, 1) == LUA_TTHREAD {
            lua_tothread(state, 1)
        } else {
            state
        }
    }
}

/// `start([coroutine])`: counts its processor time from now on.
unsafe extern "C-unwind" fn start(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let of = meant(state);
        if host.profiles.borrow().contains_key(&of) {
            return luaL_error(state, c"the coroutine is profiled already".as_ptr());
        }
        host.profiles.borrow_mut().insert(of, (processor_time(), 0));
        host.profiled.set(true);
        0
    }
}

/// `stop([coroutine])`: the seconds since `start`.
unsafe extern "C-unwind" fn stop(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let of = meant(state);
        let times = host.profiles.borrow_mut().remove(&of);
        let Some((since, total)) = times else {
            return luaL_error(state, c"call profile.start before profile.stop".as_ptr());
        };
        let none_left = host.profiles.borrow().is_empty();
        if none_left {
            host.profiled.set(false);
        }
        let running = if of == state { processor_time() - since } else { 0 };
        lua_pushnumber(state, (total + running) as f64 / 1e9);
        1
    }
}

/// Resumes with the values on top of `state`; the results, or the error, are on top then. `Err`: it failed.
///
/// # Safety
/// `state` runs in protected mode, with `arguments` values on top; `of` is another coroutine.
unsafe fn resume_with(state: State, of: State, arguments: c_int) -> Result<c_int, ()> {
    unsafe {
        if lua_checkstack(of, arguments) == 0 {
            lua_pushstring(state, c"too many arguments to resume".as_ptr());
            return Err(());
        }
        lua_xmove(state, of, arguments);
        let host = host(state);
        let mut results = 0;
        let before = switch_to(host, of);
        let status = lua_resume(of, state, arguments, &mut results);
        switch_back(host, of, before);
        if status != LUA_OK && status != LUA_YIELD {
            lua_xmove(of, state, 1);
            return Err(());
        }
        if lua_checkstack(state, results + 1) == 0 {
            lua_pop(of, results);
            lua_pushstring(state, c"too many results to resume".as_ptr());
            return Err(());
        }
        lua_xmove(of, state, results);
        Ok(results)
    }
}

/// `resume(coroutine, ...)`, as Lua's.
unsafe extern "C-unwind" fn resume(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TTHREAD);
        let of = lua_tothread(state, 1);
        match resume_with(state, of, lua_gettop(state) - 1) {
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

/// `wrap(function)`, as Lua's.
unsafe extern "C-unwind" fn wrap(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        lua_pushvalue(state, lua_upvalueindex(1));
        let of = lua_newthread(state);
        lua_pushvalue(state, 1);
        lua_xmove(state, of, 1);
        lua_pushcclosure(state, wrapped, 2);
        1
    }
}

/// What `wrap` gives: the host and the coroutine are its upvalues.
unsafe extern "C-unwind" fn wrapped(state: State) -> c_int {
    unsafe {
        let of = lua_tothread(state, lua_upvalueindex(2));
        match resume_with(state, of, lua_gettop(state)) {
            Ok(results) => results,
            Err(()) => {
                let status = lua_status(of);
                if status != LUA_OK && status != LUA_YIELD {
                    // Closes what is to be closed, which may change the error.
                    lua_closethread(of, state);
                    lua_pop(state, 1);
                    lua_xmove(of, state, 1);
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
