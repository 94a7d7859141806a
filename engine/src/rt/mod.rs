//! The runtimes: executors, their tasks, timers, doorbells and sockets, behind one small face.
//!
//! This is the only room that names io_uring. Two runtimes can stand behind it, [`uring`] and, with the feature
//! `glommio`, the executor of that name; a process chooses one when it starts its threads, and nothing above this
//! room knows which. A type of the face is an enum with one variant for each runtime: a branch that the
//! processor predicts. What the face promises to the rest of the engine:
//!
//! - **A shard that has work does not sleep.** Other threads wake it through its [`doorbell`].
//! - **A busy task must [`relax`] now and then**: a task is not interrupted.
//! - **A lost sleep ends by itself** at the next [`guard`] tick, and is counted.
//! - Memory, options and doorbells that both runtimes need stand beside this page; what only one needs stands in its
//!   folder.
//! - **Time and chance come from here**: [`now`] and [`random_number`]. The rooms above ask no clock of their own, so that
//!   the [`manual`] runtime, which is built with the feature `testing`, decides about both.

mod connecting;
pub(crate) mod cpus;
pub(crate) mod doorbell;
#[cfg(feature = "glommio")]
mod glommio;
pub(crate) mod guard;
pub(crate) mod listener;
#[cfg(feature = "testing")]
pub(crate) mod manual;
pub(crate) mod notify;
mod random;
pub(crate) mod read_buffer;
pub(crate) mod socket;
mod socket_options;
pub(crate) mod stream;
pub(crate) mod sys;
pub(crate) mod timer;
mod uring;
pub(crate) mod watched;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use self::doorbell::Bell;
pub(crate) use self::random::{fill_unpredictable, random_number};
pub(crate) use self::timer::sleep;
use crate::config;

/// What the bytes that one shard has received take at most, in bytes: what runs on the ring and was not read, and the
/// buffers that payloads are slices of.
pub(crate) const READ_BYTES_MAX: usize = read_buffer::LENT_BYTES_MAX + uring::RECEIVED_BYTES_MAX;

/// What to do where the system forbids io_uring.
const SWITCHED_OFF: &str = "io_uring is switched off here: see the sysctl kernel.io_uring_disabled, or allow the io_uring \
                            system calls in the container's seccomp profile";

/// What runs the tasks of a shard and moves its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The engine's own executor on io_uring.
    #[default]
    Uring,
    /// The executor of that name.
    #[cfg(feature = "glommio")]
    Glommio,
    /// Time, chance and I/O that a test controls.
    #[cfg(feature = "testing")]
    Manual,
}

thread_local! {
    /// The runtime of this thread's executor.
    static RUNTIME: Cell<Runtime> = const { Cell::new(Runtime::Uring) };
}

impl Runtime {
    /// The one that was chosen, if it is built in. The error's text says what to do.
    pub(crate) fn select(chosen: config::Runtime) -> io::Result<Runtime> {
        match chosen {
            config::Runtime::Uring => Ok(Runtime::Uring),
            #[cfg(feature = "glommio")]
            config::Runtime::Glommio => Ok(Runtime::Glommio),
            #[cfg(not(feature = "glommio"))]
            config::Runtime::Glommio => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this build has no runtime \"glommio\": build it with the feature `glommio`, or choose \"uring\"",
            )),
        }
    }

    /// The one that this thread runs.
    #[inline]
    fn current() -> Runtime {
        RUNTIME.get()
    }
}

/// How one executor is set up.
pub(crate) struct ExecutorOptions {
    /// What runs on the thread.
    pub(crate) runtime: Runtime,
    /// Name of the thread.
    pub(crate) name: String,
    /// The processor it is pinned to.
    pub(crate) cpu: usize,
    /// How long it looks for work before it sleeps; zero sleeps at once.
    pub(crate) spin: Duration,
}

/// Checks once, before any executor starts, that this kernel has what an executor needs. The error's text says
/// what to do.
pub(crate) fn prepare(runtime: Runtime) -> io::Result<()> {
    let check = move || match runtime {
        Runtime::Uring => uring::prepare(),
        #[cfg(feature = "glommio")]
        Runtime::Glommio => glommio::prepare(),
        #[cfg(feature = "testing")]
        Runtime::Manual => Ok(()),
    };
    // Some time after a ring has ended the kernel interrupts the thread that made it: a read with a time-out, which the system
    // does not begin again, would fail there. So that is a thread which has ended.
    let checked = thread::Builder::new()
        .name("kernel-check".to_owned())
        .spawn(check)?;
    checked
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the check of the kernel panicked")))
}

/// Starts a thread with an executor that runs `main` to its end, and is woken through `bell`. Tasks that are
/// still alive then are dropped with it. The outer error is the thread's, the inner one the executor's.
pub(crate) fn start<G, F>(
    options: ExecutorOptions,
    bell: Arc<Bell>,
    main: G,
) -> io::Result<JoinHandle<io::Result<()>>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    thread::Builder::new().name(options.name).spawn(move || {
        RUNTIME.set(options.runtime);
        sys::pin_thread(options.cpu)
            .map_err(|error| io::Error::other(format!("pinning to processor {}: {error}", options.cpu)))?;
        match options.runtime {
            Runtime::Uring => uring::run(bell, options.spin, main),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => glommio::run(bell, options.cpu, options.spin, main),
            #[cfg(feature = "testing")]
            Runtime::Manual => Err(io::ErrorKind::Unsupported.into()),
        }
    })
}

/// Runs a task on this thread's executor, after those that are runnable now. It ends when it ends, or with
/// the executor.
#[inline]
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    match Runtime::current() {
        Runtime::Uring => uring::spawn(task),
        #[cfg(feature = "glommio")]
        Runtime::Glommio => glommio::spawn(task),
        #[cfg(feature = "testing")]
        Runtime::Manual => manual::spawn(task),
    }
}

/// Has this thread's executor call `watch` between passes, and once more before each sleep. It looks for work
/// that came from other threads, and wakes the task that does it.
pub(crate) fn watch(watch: impl Fn() + 'static) {
    match Runtime::current() {
        Runtime::Uring => uring::watch(watch),
        #[cfg(feature = "glommio")]
        Runtime::Glommio => glommio::watch(watch),
        #[cfg(feature = "testing")]
        Runtime::Manual => manual::watch(watch),
    }
}

/// Lets the tasks that are runnable now have their turn, and the executor look at its I/O. What a task with
/// much to do calls between its pieces of work: without it nothing else on the shard happens.
pub(crate) async fn relax() {
    match Runtime::current() {
        Runtime::Uring => uring::relax().await,
        #[cfg(feature = "glommio")]
        Runtime::Glommio => glommio::relax().await,
        #[cfg(feature = "testing")]
        Runtime::Manual => manual::relax().await,
    }
}

/// The moment, as this thread's runtime has it.
#[inline]
pub(crate) fn now() -> Instant {
    match Runtime::current() {
        #[cfg(feature = "testing")]
        Runtime::Manual => manual::now(),
        _ => Instant::now(),
    }
}

/// The time since 1970, as this thread's runtime has it.
pub(crate) fn wall_clock() -> SystemTime {
    match Runtime::current() {
        #[cfg(feature = "testing")]
        Runtime::Manual => SystemTime::UNIX_EPOCH + manual::local_time(),
        _ => SystemTime::now(),
    }
}

/// The time of the place that runs, in milliseconds; `None` on a thread with another runtime.
#[cfg(feature = "testing")]
pub(crate) fn manual_now_ms() -> Option<u64> {
    (Runtime::current() == Runtime::Manual).then(|| manual::local_time().as_millis() as u64)
}
