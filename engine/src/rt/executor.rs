//! One pinned executor per shard thread.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement, TaskQueueHandle};

use super::sys;

/// Memory that the executor registers for file I/O, which Skyring does not use: as little as it takes.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Slots of each submission queue.
const RING_DEPTH: usize = 256;

/// How one executor is set up.
pub(crate) struct ExecutorOptions {
    /// Name of the thread.
    pub(crate) name: String,
    /// The processor it is pinned to.
    pub(crate) cpu: usize,
    /// How long it looks for I/O before it sleeps; zero sleeps at once.
    pub(crate) spin: Duration,
}

/// Checks once, before any thread starts, that this kernel has what an executor needs; the executor
/// itself would panic. The error's text says what to do.
pub(crate) fn prepare() -> io::Result<()> {
    sys::probe_io_uring().map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::ENOSYS) => "the kernel has no io_uring: Linux 5.8 or newer is needed",
            Some(libc::EPERM) | Some(libc::EACCES) => {
                "io_uring is switched off here: see the sysctl kernel.io_uring_disabled, or allow the io_uring \
                 system calls in the container's seccomp profile"
            }
            Some(libc::ENOMEM) => "no memory may be locked: raise the limit, for example with `ulimit -l 8192`",
            _ => "io_uring cannot be set up",
        };
        io::Error::new(error.kind(), format!("{advice} ({error})"))
    })?;
    sys::register_membarrier();
    Ok(())
}

/// Starts a thread with an executor that runs `main` to its end. Tasks that are still alive then are
/// dropped with it. The outer error is the thread's, the inner one the executor's.
pub(crate) fn start<G, F>(options: ExecutorOptions, main: G) -> io::Result<JoinHandle<io::Result<()>>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    std::thread::Builder::new().name(options.name).spawn(move || {
        let executor = LocalExecutorBuilder::new(Placement::Fixed(options.cpu))
            .spin_before_park(options.spin)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .make()
            .map_err(|error| io::Error::other(format!("executor on processor {}: {error}", options.cpu)))?;
        executor.run(async move { main().await });
        Ok(())
    })
}

/// Runs a task on this thread's executor, after those that are runnable now. It ends when it ends, or with
/// the executor.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    // `spawn_local` would poll it in here at once, while whoever spawns it holds what it may need: a handler
    // its service's state. The default queue is always there.
    let spawned = glommio::spawn_local_into(task, TaskQueueHandle::default());
    debug_assert!(spawned.is_ok());
    if let Ok(task) = spawned {
        task.detach();
    }
}
