//! Coroutines of a service: made, resumed, and what becomes of one whose function fails.

use std::ffi::{c_int, c_void};

use mlua::ffi::*;
use skyring::Error;

use super::profile::{switch_back, switch_to};
use super::{State, push_text, string};
use crate::host::{Host, NOBODY, Outcome, Waiter};

/// A coroutine that is free, new or used before.
///
/// # Safety
/// `state` runs in protected mode with room for three values; the caller has nothing to drop.
pub(super) unsafe fn obtain(state: State, host: &Host) -> (u32, State) {
    unsafe {
        let reused = host.threads.borrow_mut().reuse();
        if let Some(thread) = reused {
            return thread;
        }
        let thread = lua_newthread(state);
        let anchor = luaL_ref(state, LUA_REGISTRYINDEX);
        (host.threads.borrow_mut().insert(thread, anchor), thread)
    }
}

/// The same outside protected mode; `None` when there is no memory.
///
/// # Safety
/// The state's main thread is idle or waits for a coroutine.
pub(super) unsafe fn obtain_outside(host: &Host) -> Option<(u32, State)> {
    unsafe extern "C-unwind" fn make(state: State) -> c_int {
        unsafe {
            let host = &*lua_touserdata(state, 1).cast::<Host>();
            let (id, _) = obtain(state, host);
            lua_pushinteger(state, lua_Integer::from(id));
            1
        }
    }
    unsafe {
        let reused = host.threads.borrow_mut().reuse();
        if reused.is_some() {
            return reused;
        }
        let main = host.main.get();
        lua_pushcfunction(main, make);
        lua_pushlightuserdata(main, std::ptr::from_ref(host) as *mut c_void);
        let made = lua_pcall(main, 1, 1, 0) == LUA_OK;
        let id = lua_tointegerx(main, -1, std::ptr::null_mut()) as u32;
        lua_pop(main, 1);
        let thread = made.then(|| host.thread(id)).flatten()?;
        Some((id, thread.state))
    }
}

/// Starts or resumes a coroutine with what is on its stack, and deals with how it lets go.
///
/// # Safety
/// The coroutine is suspended, and `arguments` values are above its function. `from` resumes it.
pub(super) unsafe fn resume(host: &Host, from: State, id: u32, state: State, arguments: c_int) {
    unsafe {
        let before = host.running.replace(id);
        host.parked.set(false);
        let mut results = 0;
        let active = switch_to(host, state);
        let status = lua_resume(state, from, arguments, &mut results);
        switch_back(host, state, active);
        host.running.set(before);
        match status {
            LUA_YIELD => {
                if !host.parked.replace(false) {
                    strayed(host, id, state, results);
                    return;
                }
                lua_pop(state, results);
            }
            LUA_OK => {
                lua_settop(state, 0);
                finished(host, id);
            }
            _ => failed(host, id, state),
        }
    }
}

/// Starts or resumes the coroutine that a session or a queue names.
///
/// # Safety
/// As for [`resume`].
pub(super) unsafe fn resume_waiting(host: &Host, from: State, id: u32) {
    let Some(thread) = host.thread(id) else {
        return;
    };
    unsafe {
        let arguments = match lua_status(thread.state) {
            LUA_YIELD => 0,
            _ => thread.arguments,
        };
        resume(host, from, id, thread.state, arguments);
    }
}

/// A function has returned: its coroutine is used again.
///
/// # Safety
/// As for [`obtain_outside`].
unsafe fn finished(host: &Host, id: u32) {
    let forgotten = host.thread(id).filter(|thread| thread.session != 0);
    if let Some(thread) = forgotten {
        let (session, source) = (thread.session, thread.source);
        host.caller.log(format!(
            "Maybe forgot response session {session} from :{source:08x}"
        ));
        let error = Error::remote("the handler returned without a response");
        host.answer(source, session, Err(error));
    }
    let recycled = host.threads.borrow_mut().recycle(id);
    if !recycled {
        unsafe { remove(host, id) };
    }
}

/// Forgets a coroutine; the garbage collector has it.
///
/// # Safety
/// The state's main thread has room for two values.
pub(super) unsafe fn remove(host: &Host, id: u32) {
    let removed = host.threads.borrow_mut().remove(id);
    if let Some(thread) = removed {
        unsafe { luaL_unref(host.main.get(), LUA_REGISTRYINDEX, thread.anchor) };
    }
}

/// A coroutine yielded past the host: that is a mistake of its program.
///
/// # Safety
/// As for [`resume`].
unsafe fn strayed(host: &Host, id: u32, state: State, results: c_int) {
    unsafe {
        let command = if results > 0 {
            string(state, -results).map(|text| String::from_utf8_lossy(text).into_owned())
        } else {
            None
        };
        let text = match command.as_deref() {
            Some("USER") => "skynet.coroutine.yield was called outside skynet.coroutine.resume".to_owned(),
            Some(command) => {
                format!("coroutine.yield(\"{command}\") was called outside of a coroutine of its own")
            }
            None => "coroutine.yield was called outside of a coroutine of its own".to_owned(),
        };
        lua_pop(state, results);
        give_error(host, id, state, text);
    }
}

/// A function raised an error, which is on top of its coroutine's stack.
///
/// # Safety
/// As for [`resume`].
unsafe fn failed(host: &Host, id: u32, state: State) {
    unsafe {
        let text = error_text(host, state);
        give_error(host, id, state, text);
    }
}

/// The text of the error on top of a stack, whatever it is.
///
/// # Safety
/// The main thread is idle or waits; `state` is a thread of the same interpreter.
pub(super) unsafe fn error_text(host: &Host, state: State) -> String {
    unsafe extern "C-unwind" fn to_text(state: State) -> c_int {
        unsafe {
            luaL_tolstring(state, 1, std::ptr::null_mut());
            1
        }
    }
    unsafe {
        if let Some(text) = string(state, -1) {
            return String::from_utf8_lossy(text).into_owned();
        }
        if lua_type(state, -1) == LUA_TNIL {
            return "(no error message)".to_owned();
        }
        // Its metatable may have its own way to become a text, and that may fail. A coroutine that failed has no
        // room left.
        let main = host.main.get();
        if lua_checkstack(state, 1) == 0 {
            return "(no memory for the text of an error)".to_owned();
        }
        lua_pushcfunction(main, to_text);
        lua_pushvalue(state, -1);
        lua_xmove(state, main, 1);
        lua_pcall(main, 1, 1, 0);
        let text = string(main, -1).map(|text| String::from_utf8_lossy(text).into_owned());
        lua_pop(main, 1);
        text.unwrap_or_else(|| "(an error without a text)".to_owned())
    }
}

/// The text with the calls that led to it.
///
/// # Safety
/// As for [`error_text`].
pub(super) unsafe fn traceback(host: &Host, state: State, text: &str) -> String {
    unsafe extern "C-unwind" fn trace(state: State) -> c_int {
        unsafe {
            let host = &*lua_touserdata(state, 1).cast::<Host>();
            let of = lua_touserdata(state, 2).cast();
            let text = std::mem::take(&mut *host.text.get());
            push_text(state, host, String::from_utf8_unchecked(text));
            luaL_traceback(state, of, lua_tolstring(state, -1, std::ptr::null_mut()), 0);
            1
        }
    }
    unsafe {
        let main = host.main.get();
        // A text ends at its first zero for the interpreter.
        *host.text.get() = text.replace('\0', "\\0").into_bytes();
        lua_pushcfunction(main, trace);
        lua_pushlightuserdata(main, std::ptr::from_ref(host) as *mut c_void);
        lua_pushlightuserdata(main, state.cast());
        lua_pcall(main, 2, 1, 0);
        let traced = string(main, -1).map(|text| String::from_utf8_lossy(text).into_owned());
        lua_pop(main, 1);
        traced.unwrap_or_else(|| text.to_owned())
    }
}

/// Logs what ended a coroutine, answers the call that it handled, and forgets it.
///
/// # Safety
/// As for [`resume`].
unsafe fn give_error(host: &Host, id: u32, state: State, text: String) {
    unsafe {
        let thread = host.thread(id);
        let (source, session) = thread.map_or((0, 0), |thread| (thread.source, thread.session));
        let trace = traceback(host, state, &text);
        log_error(host, source, session, &trace);
        if session != 0 {
            host.answer(source, session, Err(Error::remote(text)));
        }
        lua_closethread(state, host.main.get());
        host.break_waits(id);
        remove(host, id);
    }
}

/// The line that Skynet writes for a message whose handler failed.
pub(super) fn log_error(host: &Host, source: u32, session: u32, text: &str) {
    let own = host.caller.handle().0;
    let bytes = host.body().len();
    host.caller.log(format!(
        "lua call [{source:x} to :{own:x} : {session} msgsz = {bytes}] error : {text}"
    ));
}

/// Wakes and starts what the coroutines that ran have asked for.
///
/// # Safety
/// As for [`resume`], with no coroutine running.
pub(super) unsafe fn drain(host: &Host) {
    unsafe {
        let main = host.main.get();
        loop {
            let woken = host.woken.borrow_mut().pop_front();
            if let Some(session) = woken {
                if let Some(Waiter::One(id)) = host.take_waiter(session) {
                    host.wait_for(session, Waiter::Broken);
                    host.outcome.set(Outcome::Broken);
                    resume_waiting(host, main, id);
                }
                continue;
            }
            let forked = host.forks.borrow_mut().pop_front();
            match forked {
                Some(id) => resume_waiting(host, main, id),
                None => return,
            }
        }
    }
}

/// Lets the running coroutine wait for a session, which the service `target` answers; 0: no service of this node.
/// Its C function must yield next.
pub(super) fn park(host: &Host, session: u32, target: u32) {
    let id = host.running.get();
    if let Some(thread) = host.threads.borrow_mut().get_mut(id) {
        thread.waiting = session;
        thread.target = target;
    }
    host.wait_for(session, Waiter::One(id));
    host.parked.set(true);
}

/// Whether the function that runs in `state` may wait.
///
/// # Safety
/// `state` runs.
#[inline]
pub(super) unsafe fn check_may_wait(state: State, host: &Host) -> Result<(), String> {
    if host.running.get() == NOBODY {
        return Err(
            "this can only be called in a coroutine of the service: in skynet.start, skynet.fork, \
                    skynet.timeout or a message's handler"
                .to_owned(),
        );
    }
    if unsafe { lua_isyieldable(state) } == 0 {
        return Err("attempt to yield across a C-call boundary".to_owned());
    }
    Ok(())
}

/// Ends a coroutine that waits, as `skynet.killthread` does; answers the call that it handled.
///
/// # Safety
/// The coroutine is in use and does not run. `state` runs in protected mode.
pub(super) unsafe fn kill(host: &Host, state: State, id: u32) {
    unsafe {
        host.forks.borrow_mut().retain(|&forked| forked != id);
        host.break_waits(id);
        let Some(thread) = host.thread(id) else {
            return;
        };
        if thread.session != 0 {
            let error = Error::remote("the coroutine that handled the call was killed");
            host.answer(thread.source, thread.session, Err(error));
        }
        lua_closethread(thread.state, state);
        let removed = host.threads.borrow_mut().remove(id);
        if let Some(thread) = removed {
            luaL_unref(state, LUA_REGISTRYINDEX, thread.anchor);
        }
    }
}
