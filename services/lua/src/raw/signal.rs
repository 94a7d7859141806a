//! Stops a service that runs without end: `skynet.core.command("SIGNAL", ":00000008 0")`.
//!
//! The shard is in the interpreter and looks at nothing else. Lua has one way to be interrupted from a signal
//! handler: `lua_sethook`, which only sets fields of the coroutine that runs. So the handler runs on the shard's
//! own thread, and the hook raises an error at the next instruction.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering;

use mlua::ffi::*;
use skyring::Handle;

use super::State;
use crate::watch::{self, Note};

/// Ignored by default, and used for nothing else by programs like this.
const SIGNAL: c_int = libc::SIGURG;

thread_local! {
    /// The note of this shard. Plain memory, so that a signal handler may read it.
    static OWN: Cell<*const Note> = const { Cell::new(ptr::null()) };
}

static INSTALLED: Once = Once::new();

/// This thread, as the system knows it.
pub(crate) fn this_thread() -> libc::pthread_t {
    // SAFETY: it has no preconditions.
    unsafe { libc::pthread_self() }
}

/// Lets services of this shard be stopped. `note` must be the one that the thread keeps until its end.
pub(super) fn prepare(note: &Note) {
    OWN.set(note);
    INSTALLED.call_once(|| {
        // SAFETY: the handler does what a signal handler may do, see there, and the struct is plain data.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(SIGNAL, &action, ptr::null_mut());
        }
    });
}

/// Stops what a service is doing, if it is doing something.
pub(crate) fn stop(handle: Handle) -> bool {
    let Some(note) = watch::running(handle) else {
        return false;
    };
    note.trap.store(handle.0, Ordering::Release);
    // SAFETY: a thread with a note is a shard, and one whose service runs has not ended.
    unsafe { libc::pthread_kill(note.thread, SIGNAL) == 0 }
}

extern "C" fn on_signal(_signal: c_int) {
    let own = OWN.get();
    if own.is_null() {
        return;
    }
    // SAFETY: the thread keeps its note until its end. Atomics and `lua_sethook` are all that is used, and the
    // coroutine that the note names is running below this handler.
    unsafe {
        let note = &*own;
        if !note.is_trapped() {
            return;
        }
        let active = note.active.load(Ordering::Relaxed);
        if !active.is_null() {
            lua_sethook(active, Some(interrupt), LUA_MASKCOUNT, 1);
        }
    }
}

unsafe extern "C-unwind" fn interrupt(state: State, _debug: *mut lua_Debug) {
    unsafe {
        lua_sethook(state, None, 0, 0);
        luaL_error(state, c"signal 0".as_ptr());
    }
}
