//! Why a profile fails.

use std::io;

use thiserror::Error;

/// Why there is no profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// No process has that id.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// It belongs to another user.
    #[error("process {process} belongs to another user (id {owner}): only root may profile it")]
    NotYours {
        /// The process.
        process: u32,
        /// Its user.
        owner: u32,
    },
    /// The kernel allows profiles for root only.
    #[error(
        "the kernel forbids profiles: kernel.perf_event_paranoid is {0}; `sysctl kernel.perf_event_paranoid=2`, as root, \
         allows those of one's own processes"
    )]
    Paranoid(i32),
    /// Profiles are forbidden otherwise.
    #[error(
        "profiles are forbidden here ({0}): in a container, its seccomp profile must allow perf_event_open, and another \
         user's programs, or those that changed their user, need root"
    )]
    Forbidden(io::Error),
    /// The kernel has no perf events.
    #[error(
        "this kernel cannot sample processes: it was built without perf events, or the seccomp profile of the container hides \
         perf_event_open"
    )]
    Unsupported,
    /// Samples need memory that cannot be swapped.
    #[error(
        "no memory for samples: raise the limit of locked memory (`ulimit -l`) or kernel.perf_event_mlock_kb"
    )]
    LockedMemory,
    /// The kernel shows where threads wait only to those who may see its own frames.
    #[error(
        "the kernel does not show where threads wait: kernel.perf_event_paranoid is {0}; `sysctl kernel.perf_event_paranoid=1`, \
         as root, allows it"
    )]
    WaitingHidden(i32),
    /// No thread waited.
    #[error("there is no wait: no thread gave its processor up meanwhile")]
    NoWaits,
    /// The processes used no processor time.
    #[error("there is no sample: the process used no processor time meanwhile")]
    NoSamples,
    /// The system failed.
    #[error("{0}")]
    System(#[from] io::Error),
}
