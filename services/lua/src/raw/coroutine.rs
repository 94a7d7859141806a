//! Creates and resumes the coroutines of a service, and handles those that return, fail or are killed.

use std::ffi::{c_int, c_void};

use mlua::ffi::*;
use skyring::Error;

use super::profile::{switch_back, switch_to};
use super::{State, push_text, string};
use crate::host::{Host, NO_THREAD, Outcome, Waiter};

/// Obtains a coroutine, an idle one or a new one.
///
/// # Safety
/// `state` runs in protected mode with space for three values; the caller has nothing to drop.
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

/// Obtains a coroutine outside protected mode; `None` when memory runs out.
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

/// Starts or resumes a coroutine with the values on its stack, and handles its yield, return or error.
///
/// # Safety
/// The coroutine is suspended, and `arguments` values are above its function. `from` resumes it.
pub(super) unsafe fn resume(host: &Host, from: State, id: u32, state: State, arguments: c_int) {
    unsafe {
        let before = host.running.replace(id);
        host.yielded_to_host.set(false);
        let mut results = 0;
        let active = switch_to(host, state);
        let status = lua_resume(state, from, arguments, &mut results);
        switch_back(host, state, active);
        host.running.set(before);
        match status {
            LUA_YIELD => {
                if !host.yielded_to_host.replace(false) {
                    reject_yield(host, id, state, results);
                    return;
                }
                lua_pop(state, results);
                if host.quitting.get() == id {
                    lua_closethread(state, host.main.get());
                }
            }
            LUA_OK => {
                lua_settop(state, 0);
                finished(host, id);
            }
            _ => failed(host, id, state),
        }
    }
}

/// Starts or resumes the coroutine with this id.
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

/// Handles the return of a coroutine's function, and keeps the coroutine for reuse.
///
/// # Safety
/// As for [`obtain_outside`].
unsafe fn finished(host: &Host, id: u32) {
    let unanswered = host.thread(id).filter(|thread| thread.session != 0);
    if let Some(thread) = unanswered {
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

/// Removes a coroutine, which the garbage collector then frees.
///
/// # Safety
/// The state's main thread has space for two values.
pub(super) unsafe fn remove(host: &Host, id: u32) {
    let removed = host.threads.borrow_mut().remove(id);
    if let Some(thread) = removed {
        unsafe { luaL_unref(host.main.get(), LUA_REGISTRYINDEX, thread.anchor) };
    }
}

/// Handles a yield that did not come from a function of the host, which is an error of the Lua program.
///
/// # Safety
/// As for [`resume`].
unsafe fn reject_yield(host: &Host, id: u32, state: State, results: c_int) {
    unsafe {
        let command = if results > 0 {
            string(state, -results).map(|text| String::from_utf8_lossy(text).into_owned())
        } else {
            None
        };
        let text = match command.as_deref() {
            Some("USER") => "skynet.coroutine.yield was called outside skynet.coroutine.resume".to_owned(),
            Some(command) => {
                format!("coroutine.yield(\"{command}\") was called directly in a coroutine of the service")
            }
            None => "coroutine.yield was called directly in a coroutine of the service".to_owned(),
        };
        lua_pop(state, results);
        fail_coroutine(host, id, state, text);
    }
}

/// Handles an error that a coroutine's function raised, which is on top of its stack.
///
/// # Safety
/// As for [`resume`].
unsafe fn failed(host: &Host, id: u32, state: State) {
    unsafe {
        let text = error_text(host, state);
        fail_coroutine(host, id, state, text);
    }
}

/// The text of the error on top of a stack, which may be any value.
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
        // `__tostring` of its metatable may convert it, and may fail. The stack of the failed coroutine may be full.
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

/// The text with a traceback.
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
        // For `luaL_traceback` a text ends at its first zero byte.
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

/// Logs the error that ended a coroutine, answers the call that it handled, and removes it.
///
/// # Safety
/// As for [`resume`].
unsafe fn fail_coroutine(host: &Host, id: u32, state: State, text: String) {
    unsafe {
        let thread = host.thread(id);
        let (source, session) = thread.map_or((0, 0), |thread| (thread.source, thread.session));
        let trace = traceback(host, state, &text);
        log_error(host, source, session, &trace);
        if session != 0 {
            host.answer(source, session, Err(Error::remote(text)));
        }
        lua_closethread(state, host.main.get());
        host.cancel_waits(id);
        remove(host, id);
    }
}

/// Logs the line that Skynet logs for a message whose handler failed.
pub(super) fn log_error(host: &Host, source: u32, session: u32, text: &str) {
    let own = host.caller.handle().0;
    let bytes = host.body().len();
    host.caller.log(format!(
        "lua call [{source:x} to :{own:x} : {session} msgsz = {bytes}] error : {text}"
    ));
}

/// Resumes the coroutines that `wakeup` and `fork` have queued, until none is left.
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
                    host.wait_for(session, Waiter::Cancelled);
                    host.outcome.set(Outcome::Woken);
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

/// Registers that the running coroutine waits for a session, which the service `target` answers; 0: no service of this
/// node. Its C function must yield next.
pub(super) fn begin_wait(host: &Host, session: u32, target: u32) {
    let id = host.running.get();
    if let Some(thread) = host.threads.borrow_mut().get_mut(id) {
        thread.waiting = session;
        thread.target = target;
    }
    host.wait_for(session, Waiter::One(id));
    host.yielded_to_host.set(true);
}

/// Checks that the function that runs in `state` may wait.
///
/// # Safety
/// `state` runs.
#[inline]
pub(super) unsafe fn check_may_wait(state: State, host: &Host) -> Result<(), String> {
    if host.running.get() == NO_THREAD {
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

/// Ends a coroutine that waits, for `skynet.killthread`, and answers the call that it handled.
///
/// # Safety
/// The coroutine is in use and does not run. `state` runs in protected mode.
pub(super) unsafe fn kill(host: &Host, state: State, id: u32) {
    unsafe {
        host.forks.borrow_mut().retain(|&forked| forked != id);
        host.cancel_waits(id);
        host.stopped.borrow_mut().remove(&id);
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
