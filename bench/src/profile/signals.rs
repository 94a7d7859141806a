//! Signals at samples: the kernel sends one to the sampled thread, so that it can write down what only it knows, its Lua
//! stack.
//!
//! The signal is SIGURG, which is ignored by default: a process that has lost its handler is not ended by it. It is only
//! asked for where the process has the file of [`lua_samples`](super::lua_samples), which is created after the handler.
#![expect(
    unsafe_code,
    reason = "neither std nor rustix can choose a descriptor's signal and its receiver"
)]

use std::io;
use std::os::fd::AsRawFd;

/// Commands of `fcntl` that libc has no names for, and a receiver that is a thread.
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

/// `struct f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}

/// Makes the kernel send SIGURG to a thread whenever the event of `descriptor` has a sample.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn send_at_samples(descriptor: &impl AsRawFd, thread: u32) -> io::Result<()> {
    let descriptor = descriptor.as_raw_fd();
    let owner = Owner {
        kind: F_OWNER_TID,
        id: thread.cast_signed(),
    };
    // SAFETY: the descriptor is open as long as its value is borrowed; the struct is what the kernel reads for this
    // command, and lives during the call. The other commands take numbers.
    unsafe {
        check(libc::fcntl(descriptor, F_SETOWN_EX, &raw const owner))?;
        check(libc::fcntl(descriptor, F_SETSIG, libc::SIGURG))?;
        let flags = check(libc::fcntl(descriptor, libc::F_GETFL))?;
        check(libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_ASYNC))?;
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
