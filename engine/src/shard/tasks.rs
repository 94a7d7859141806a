//! The tasks of a shard: they run its turns, drive its timers, recover from lost wake-ups, and poll I/O on request.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::timers::Timer;
use crate::core::waiters::Outcome;
use crate::log::{Level, Origin};
use crate::rt;
use crate::rt::guard::{GUARD_TICK, Guard};
use crate::rt::notify::Notify;
use crate::rt::timer::sleep_or_wake;
use crate::shard::Shard;

/// How long a shard that stops waits for its tasks and connections to end.
const STOP_TIME_MAX: Duration = Duration::from_millis(300);

/// Time between two sweeps of inbound connections, in guard ticks.
const SWEEP_TICKS: u32 = 10;

/// The tasks of one shard, and their shared state.
struct Tasks {
    shard: Rc<ShardCore<Shard>>,
    /// The same core, as the rooms use it.
    core: Rc<ShardCore>,
    guard: Guard,
    /// Ends the guard's wait when the shard stops.
    guard_cancelled: Notify,
    /// The number of running tasks.
    running: Cell<usize>,
}

/// Starts the shard's own tasks, and returns when the shard has stopped and everything has ended.
pub(crate) async fn run(shard: Rc<ShardCore<Shard>>) {
    let core: Rc<ShardCore> = Rc::clone(&shard) as _;
    rt::watch({
        let shard = Rc::clone(&shard);
        let core = Rc::clone(&core);
        move || {
            // Messages after the stop are dropped: requesting turns that do not run would keep the shard awake.
            if shard.router.has_messages(&core) && !core.stopping.get() {
                core.request_turn();
            }
        }
    });
    let tasks = Rc::new(Tasks {
        shard,
        core,
        guard: Guard::default(),
        guard_cancelled: Notify::default(),
        running: Cell::new(0),
    });
    tasks.spawn(Rc::clone(&tasks).run_turns());
    tasks.spawn(Rc::clone(&tasks).drive_timers());
    tasks.spawn(Rc::clone(&tasks).run_guard());
    tasks.spawn(Rc::clone(&tasks).yield_to_io());
    tasks.core.stopped.wait().await;
    tasks.stop().await;
}

impl Tasks {
    fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        self.running.set(self.running.get() + 1);
        let tasks = Rc::clone(self);
        rt::spawn(async move {
            task.await;
            tasks.running.set(tasks.running.get() - 1);
        });
    }

    fn rooms(&self) -> &Shard {
        &self.shard.router
    }

    fn is_stopping(&self) -> bool {
        self.core.stopping.get()
    }

    async fn stop(&self) {
        let (core, rooms) = (&self.core, self.rooms());
        rooms.services.end_all(core);
        // The last messages of services still go out.
        rooms.turn(core);
        rooms.cluster.close(core);
        rooms.sockets.close_all();
        rooms.turn(core);
        let injector = &core.node.injectors[core.index];
        injector.close();
        core.end_external_waiters();
        core.turn_requested.wake();
        core.timers.changed.wake();
        core.fairness.poll_requested.wake();
        self.guard_cancelled.wake();
        injector.bell().ring();
        let started = rt::now();
        while (self.running.get() > 0 || !rooms.cluster.is_closed())
            && rt::now().saturating_duration_since(started) < STOP_TIME_MAX
        {
            rt::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs the requested turns.
    async fn run_turns(self: Rc<Self>) {
        while !self.is_stopping() {
            self.core.turn_requested.wait().await;
            if let Some(since) = self.core.take_turn_requested_since()
                && self.guard.is_lost_sleep(since)
            {
                self.record_rescued_sleep("work was waiting in its executor");
            }
            if self.rooms().turn(&self.core) {
                // Requested first: messages without a requested turn are a sign of a lost wake-up.
                self.core.request_turn();
                rt::relax().await;
                self.core.note_io_polled();
            }
        }
    }

    /// Drives the timer wheel.
    async fn drive_timers(self: Rc<Self>) {
        while !self.is_stopping() {
            let now = self.core.update_now();
            while let Some(timer) = self.core.timers.poll(now) {
                self.expire(timer);
            }
            let next = self.core.timers.arm();
            let wait = next.map(|deadline| Duration::from_millis(deadline.saturating_sub(now).max(1)));
            sleep_or_wake(wait, &self.core.timers.changed).await;
            self.core.note_io_polled();
        }
    }

    fn expire(&self, timer: Timer) {
        let (core, cluster) = (&self.core, &self.rooms().cluster);
        match timer {
            Timer::Waiter(key) => core.complete_waiter(key, Outcome::Elapsed),
            Timer::Channel(key) => cluster.channel_deadline(core, key),
            Timer::Inbound(key) => cluster.inbound_deadline(core, key),
            Timer::PendingRequest(key) => cluster.pending_deadline(core, key),
            Timer::Drain => cluster.continue_drain(core),
            Timer::Detector => cluster.detector_deadline(core),
            Timer::Hedge(key) => cluster.hedge(core, key),
            Timer::Service(handle, session) => {
                // A sleep ends with its service: its timer does not count as a late reply.
                if core.has_service(handle) {
                    core.answer_service(handle, session, Ok(Payload::default()));
                }
            }
        }
    }

    /// Wakes the shard after a lost wake-up, and sweeps inbound connections.
    async fn run_guard(self: Rc<Self>) {
        let core = &self.core;
        let bell = core.node.injectors[core.index].bell();
        let is_stalled =
            || self.rooms().has_messages(core) && !core.is_turn_requested() && bell.is_announced();
        let mut ticks = 0u32;
        while !self.is_stopping() {
            sleep_or_wake(Some(GUARD_TICK), &self.guard_cancelled).await;
            self.guard.tick();
            core.note_io_polled();
            ticks = ticks.wrapping_add(1);
            // A message waits, a sleep is announced and no turn is requested: was the ring lost? A sender may be between its push and its
            // ring: only if the state is the same a while later was the wake-up lost.
            if is_stalled() {
                let rings = bell.rings();
                rt::sleep(Duration::from_millis(1)).await;
                if is_stalled() && bell.rings() == rings {
                    self.record_rescued_sleep("its doorbell was not rung");
                    bell.ring();
                }
            }
            if ticks.is_multiple_of(SWEEP_TICKS) {
                self.rooms().cluster.sweep(core);
            }
        }
    }

    fn record_rescued_sleep(&self, why: &str) {
        let figures = &self.core.figures;
        figures.sleeps_rescued.set(figures.sleeps_rescued.get() + 1);
        self.core.node.metrics.sleeps_rescued.add(1);
        self.core.node.logger.write(
            Origin::Node,
            Level::Warning,
            Handle::NONE.0,
            format!(
                "shard {} slept although {why}; the guard tick woke it",
                self.core.index
            ),
        );
    }

    /// Makes the executor poll its I/O for the tasks that requested it.
    async fn yield_to_io(self: Rc<Self>) {
        while !self.is_stopping() {
            self.core.fairness.poll_requested.wait().await;
            rt::relax().await;
            self.core.note_io_polled();
            self.core.fairness.wake_waiting();
        }
    }
}
