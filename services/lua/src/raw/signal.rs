//! Interrupts a service in an endless loop: `skynet.core.command("SIGNAL", ":00000008 0")`. The same signal without such a
//! request comes from a profiler, which wants the stack of the running coroutine; see [`sample`].
//!
//! The shard is inside the interpreter and cannot poll for requests. Lua can be interrupted from a signal handler by
//! `lua_sethook`, which only sets fields of the running coroutine. So the signal is sent to the shard's own thread, and
//! the hook raises an error at the next instruction.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering;

use mlua::ffi::*;
use skyring::Handle;

use super::{State, sample};
use crate::samples;
use crate::watch::{self, ShardActivity};

/// A signal that is ignored by default and that the program does not use otherwise.
const SIGNAL: c_int = libc::SIGURG;

thread_local! {
    /// The record of this shard. A plain pointer, so that a signal handler may read it.
    static OWN: Cell<*const ShardActivity> = const { Cell::new(ptr::null()) };
}

static INSTALLED: Once = Once::new();

/// The identifier of this thread.
pub(crate) fn this_thread() -> libc::pthread_t {
    // SAFETY: it has no preconditions.
    unsafe { libc::pthread_self() }
}

/// Makes the services of this shard interruptible. The thread must keep `shard` until it ends.
pub(super) fn prepare(shard: &ShardActivity) {
    OWN.set(shard);
    INSTALLED.call_once(|| {
        // SAFETY: the handler is async-signal-safe, as stated there, and the struct is plain data.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(SIGNAL, &action, ptr::null_mut());
        }
        // After the handler: a process with this file may be sent the signal.
        samples::prepare();
    });
}

/// Interrupts a service. `false`: it does not run now.
pub(crate) fn stop(handle: Handle) -> bool {
    let Some(shard) = watch::running(handle) else {
        return false;
    };
    shard.stop_target.store(handle.0, Ordering::Release);
    // SAFETY: only the thread of a shard has a record, and a shard whose service runs has not ended.
    unsafe { libc::pthread_kill(shard.thread, SIGNAL) == 0 }
}

/// The number of the message that this shard handles, if it is a shard.
pub(super) fn version() -> Option<u64> {
    let own = OWN.get();
    // SAFETY: the thread keeps its record until it ends.
    (!own.is_null()).then(|| unsafe { &*own }.version())
}

extern "C" fn on_signal(_signal: c_int) {
    let own = OWN.get();
    if own.is_null() {
        return;
    }
    // SAFETY: the thread keeps its record until it ends. Only atomics and `lua_sethook` are used, and the recorded
    // coroutine runs below this handler.
    unsafe {
        let shard = &*own;
        if !shard.take_stop_request() {
            sample::request(shard);
            return;
        }
        let active = shard.active.load(Ordering::Relaxed);
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
