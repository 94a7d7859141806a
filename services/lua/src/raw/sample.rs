//! Takes the Lua stack of a sample, for [`samples`](crate::samples).
//!
//! The signal handler only sets a hook, as for [`signal`](super::signal); the hook runs at the next instruction, where the
//! stack is whole. A function in C that the sample was taken in has returned by then: its caller is the innermost function
//! of the Lua stack, and the function itself is in the profiler's own stack.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use mlua::ffi::*;

use super::State;
use crate::samples;
use crate::watch::ShardActivity;

/// Most functions of a stack; those further out are left out.
const SAMPLED_FUNCTIONS_MAX: i32 = 48;

/// Longest name of a function.
const SAMPLED_NAME_BYTES_MAX: usize = 100;

thread_local! {
    /// When the signal came, in ns of the monotonic clock, and the message that was handled then; 0: none waits for its
    /// hook. Without a destructor, so that a signal handler may use it.
    static REQUEST: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Requests the stack of the running coroutine, from a signal handler.
///
/// # Safety
/// It is called on the shard's thread, and the coroutine that `shard` records runs below.
pub(super) unsafe fn request(shard: &ShardActivity) {
    unsafe {
        let active = shard.active.load(Ordering::Relaxed);
        // A hook of a debugger, or one that interrupts the service, stays.
        if !shard.is_busy() || active.is_null() || lua_gethookmask(active) != 0 {
            return;
        }
        REQUEST.set((now_ns(), shard.version()));
        lua_sethook(active, Some(take), LUA_MASKCOUNT, 1);
    }
}

/// The time in ns on the clock that the profiler's samples have.
fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec; signal handlers may call it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000) + time.tv_nsec as u64
}

/// The hook: writes the stack down, once.
unsafe extern "C-unwind" fn take(state: State, _debug: *mut lua_Debug) {
    unsafe { lua_sethook(state, None, 0, 0) };
    let (time_ns, version) = REQUEST.replace((0, 0));
    // A coroutine that was created, or waited, meanwhile: the sample was of another stack.
    if time_ns == 0 || super::signal::version() != Some(version) {
        return;
    }
    // SAFETY: the state runs a hook, in which its stack may be read. Nothing here raises an error.
    let functions = unsafe { functions(state) };
    samples::write(
        rustix::thread::gettid().as_raw_nonzero().get() as u32,
        time_ns,
        &functions,
    );
}

/// The functions of a stack, from the outermost on.
///
/// # Safety
/// `state` runs, and nothing else changes its stack.
unsafe fn functions(state: State) -> String {
    let mut names = Vec::new();
    for level in 0..SAMPLED_FUNCTIONS_MAX {
        // SAFETY: plain data, which the two calls fill; neither allocates, calls Lua, or raises an error for these options.
        unsafe {
            let mut debug: lua_Debug = std::mem::zeroed();
            if lua_getstack(state, level, &mut debug) == 0 {
                break;
            }
            if lua_getinfo(state, c"nSl".as_ptr(), &mut debug) == 0 {
                break;
            }
            names.push(describe(&debug));
        }
    }
    names.reverse();
    names.join(";")
}

/// A function's name, with the file and the line where it is defined.
///
/// # Safety
/// Lua has filled `debug`.
unsafe fn describe(debug: &lua_Debug) -> String {
    // SAFETY: the texts end with a zero byte and live while the function does.
    unsafe {
        let what = text(debug.what);
        let name = match (text(debug.name), &*what) {
            (_, "main") => "main chunk".to_owned(),
            (name, _) if name.is_empty() => "function".to_owned(),
            (name, _) => name,
        };
        let mut described = name;
        if what == "C" {
            described.push_str(" [C]");
        } else {
            // Writing to a String does not fail.
            let _ = write!(
                described,
                " ({}:{})",
                text(debug.short_src.as_ptr()),
                debug.linedefined.max(0)
            );
        }
        described
    }
}

/// A text without the characters that separate functions and lines.
///
/// # Safety
/// The text ends with a zero byte, or the pointer is null.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(pointer) }.to_string_lossy();
    let plain = |character: char| {
        if character.is_control() || character == ';' {
            '_'
        } else {
            character
        }
    };
    let mut text: String = text.chars().map(plain).collect();
    while text.len() > SAMPLED_NAME_BYTES_MAX {
        text.pop();
    }
    text
}
