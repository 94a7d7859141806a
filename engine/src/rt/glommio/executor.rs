//! Setting up glommio's executor, its timers, and the task that waits for the doorbell.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::AsyncReadExt;
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};

use super::tasks::{self, Local};
use crate::rt::SWITCHED_OFF;
use crate::rt::doorbell::Bell;
use crate::rt::notify::Notify;
use crate::rt::sys;

/// Memory that the executor registers for file I/O, which the engine does not use: as little as it takes.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// After this time the executor interrupts its run queue, and may then sleep with runnable tasks. So long that it does not
/// happen: tasks relax instead.
const PREEMPT_TIME: Duration = Duration::from_secs(3_600);

/// Slots of each submission queue.
const RING_DEPTH: usize = 256;

/// Long enough for the executor to look at its rings, short enough not to be felt. A zero timer would be
/// ready at once and never leave the run queue.
const RELAX: Duration = Duration::from_micros(2);

/// Checks once, before any thread starts, that this kernel has what an executor needs; the executor
/// itself would panic. The error's text says what to do.
pub(in crate::rt) fn prepare() -> io::Result<()> {
    io_uring::IoUring::new(8).map_err(|error| {
        let advice = match error.raw_os_error() {
            Some(libc::ENOSYS) => "the kernel has no io_uring: Linux 5.8 or newer is needed",
            Some(libc::EPERM | libc::EACCES) => SWITCHED_OFF,
            Some(libc::ENOMEM) => {
                "no memory may be locked: raise the limit, for example with `ulimit -l 8192`"
            }
            _ => "io_uring cannot be set up",
        };
        io::Error::new(error.kind(), format!("{advice} ({error})"))
    })?;
    // Without it the first sleep of each executor takes tens of milliseconds.
    sys::register_membarrier();
    Ok(())
}

/// Runs `main` and what it spawns on this thread, which is pinned to `cpu`. Tasks that are left when `main` has ended are
/// dropped.
pub(in crate::rt) fn run<G, F>(bell: Arc<Bell>, cpu: usize, spin: Duration, main: G) -> io::Result<()>
where
    G: FnOnce() -> F,
    F: Future<Output = ()> + 'static,
{
    let reader = bell.as_fd().try_clone_to_owned()?;
    let executor = LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .spin_before_park(spin)
        .preempt_timer(PREEMPT_TIME)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .make()
        .map_err(|error| io::Error::other(format!("executor on processor {cpu}: {error}")))?;
    let local = Local::enter(Arc::clone(&bell));
    executor.run(async {
        // A stream finds its executor in the thread, while that runs.
        let reader = sys::glommio_unix_stream(reader);
        tasks::spawn(listen(Rc::clone(&local), bell, reader));
        let ended = Ended(Rc::new(Notify::default()));
        let notify = Rc::clone(&ended.0);
        let main = main();
        // A task like the others: the waker of this one may not leave the thread.
        tasks::spawn(async move {
            let _ended = ended;
            main.await;
        });
        notify.wait().await;
        local.end().await;
    });
    drop(executor);
    local.leave();
    Ok(())
}

/// Tells that the main future has ended, however it has.
struct Ended(Rc<Notify>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Waits for the doorbell again and again, and takes what other threads have.
async fn listen(local: Rc<Local>, bell: Arc<Bell>, mut reader: glommio::net::UnixStream) {
    let mut bytes = [0; 64];
    loop {
        bell.announce();
        local.take_outside();
        // A stream pair breaks only with one of its ends, which both live as long as the bell.
        if !matches!(reader.read(&mut bytes).await, Ok(1..)) {
            return;
        }
        bell.withdraw();
        local.take_outside();
    }
}

/// Leaves the run queue, so that the executor looks at its rings, and takes what other threads have.
pub(in crate::rt) async fn relax() {
    Timer::new(RELAX).await;
    if let Ok(local) = tasks::local() {
        local.take_outside();
    }
}

/// A timer of the executor.
pub(in crate::rt) struct Sleep(Timer);

impl Sleep {
    pub(in crate::rt) fn new(duration: Duration) -> Sleep {
        Sleep(Timer::new(duration.max(RELAX)))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}
