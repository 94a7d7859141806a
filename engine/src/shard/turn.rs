//! The turns of a shard, and the tasks that ask for them: finisher, timers, guard, relaxing.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use skyring_codec::Millis;

use crate::rt;
use crate::rt::guard::GUARD_TICK;
use crate::rt::timer::sleep_or_wake;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::shard::envelope::Envelope;
use crate::shard::waiters::Outcome;
use crate::shard::{Shard, Timer};

/// A turn ends after this long even if messages are left, so that connections get theirs.
const TURN_TIME_MAX: Duration = Duration::from_micros(500);

/// Calls that may complete before the executor must look at its I/O.
const COMPLETED_BEFORE_IO_MAX: u32 = 4_096;

/// How long a stopping shard waits for its tasks and connections to end.
const STOP_TIME_MAX: Duration = Duration::from_millis(300);

/// Time between two looks at connections that may have gone silent, in guard ticks.
const SWEEP_TICKS: u32 = 10;

impl Shard {
    /// Starts the shard's own tasks, and ends when the shard was told to stop and everything has ended.
    pub(crate) async fn run(self: &Rc<Shard>) {
        let shard = Rc::clone(self);
        rt::watch(move || {
            // What comes after the end is nobody's: asking for turns that are not run would keep it awake.
            if shard.node.ports[shard.index].has_messages() && !shard.stopping.get() {
                shard.request_turn();
            }
        });
        self.spawn_own(Rc::clone(self).finish_turns());
        self.spawn_own(Rc::clone(self).run_timers());
        self.spawn_own(Rc::clone(self).run_guard());
        self.spawn_own(Rc::clone(self).run_relaxing());
        self.stopped.wait().await;
        let services: Vec<Handle> = self.services.borrow().keys().copied().collect();
        for handle in services {
            self.remove_service(handle);
        }
        // What services said last still goes out.
        self.turn();
        self.cluster.close(self);
        self.sockets.close_all();
        self.turn();
        self.node.ports[self.index].close();
        self.end_outside_waiters();
        self.turn_wanted.wake();
        self.timer_changed.wake();
        self.relax_wanted.wake();
        self.guard_hurried.wake();
        self.node.ports[self.index].bell().ring();
        let started = Instant::now();
        while (self.own_tasks.get() > 0 || !self.cluster.is_closed()) && started.elapsed() < STOP_TIME_MAX {
            rt::sleep(Duration::from_millis(1)).await;
        }
    }

    fn spawn_own(self: &Rc<Shard>, task: impl Future<Output = ()> + 'static) {
        self.own_tasks.set(self.own_tasks.get() + 1);
        let shard = Rc::clone(self);
        rt::spawn(async move {
            task.await;
            shard.own_tasks.set(shard.own_tasks.get() - 1);
        });
    }

    /// Ends [`run`](Self::run).
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.stopped.wake();
    }

    /// Asks for a turn after the tasks that are runnable now.
    pub(crate) fn request_turn(&self) {
        if self.turn_wanted.wake() {
            self.turn_wanted_since.set(Some(Instant::now()));
        }
    }

    /// Stages a message for another shard. `Err` gives a request back when too many wait; see
    /// [`STAGED_MESSAGES_MAX`](super::mesh::STAGED_MESSAGES_MAX).
    pub(crate) fn stage(&self, shard: usize, envelope: Envelope) -> Result<(), Envelope> {
        let is_message = !matches!(envelope, Envelope::Errand(_));
        self.staged[shard].borrow_mut().push(envelope)?;
        self.crossed.set(self.crossed.get() + u64::from(is_message));
        self.request_turn();
        Ok(())
    }

    /// One turn; true when more is left than it had time for.
    pub(crate) fn turn(self: &Rc<Shard>) -> bool {
        let started = Instant::now();
        self.update_now();
        let mut more = self.take_from_others(started);
        more |= self.drain_run_queue(started);
        more |= self.hand_over();
        self.flush_connections();
        more
    }

    fn take_from_others(self: &Rc<Shard>, started: Instant) -> bool {
        let port = &self.node.ports[self.index];
        loop {
            let mut took = false;
            if let Some(errand) = port.take_errand() {
                errand(self);
                took = true;
            }
            // One batch of each in turn, so that no shard starves another.
            for from in 0..self.shards() {
                if let Some(batch) = port.take(from) {
                    for envelope in batch {
                        self.open(envelope);
                    }
                    took = true;
                }
            }
            if !took {
                return false;
            }
            if started.elapsed() > TURN_TIME_MAX {
                return port.has_messages();
            }
        }
    }

    fn open(self: &Rc<Shard>, envelope: Envelope) {
        match envelope {
            Envelope::Request(request) => self.deliver(request),
            Envelope::Reply { reply_to, result } => self.reply(reply_to, result),
            Envelope::Remote(request) => self.send_remote(*request),
            Envelope::Errand(errand) => errand(self),
            // What is refused here is refused silently: the socket was closed meanwhile.
            Envelope::Order(order) => drop(self.obey(*order)),
            Envelope::Delivery(delivery) => self.deliver_event(delivery),
            Envelope::Handled { socket, bytes } => self.event_handled(socket, bytes as usize),
        }
    }

    /// Hands what is staged to the other shards; true when some had no room.
    fn hand_over(&self) -> bool {
        let crossed = self.crossed.take();
        if crossed > 0 {
            self.node.metrics.messages_crossed.add(crossed);
        }
        let mut left = false;
        for (shard, staged) in self.staged.iter().enumerate() {
            let mut staged = staged.borrow_mut();
            while !staged.is_empty() {
                let batch = staged.next_batch();
                if let Err(batch) = self.node.ports[shard].push(self.index, batch) {
                    staged.put_back(batch);
                    left = true;
                    break;
                }
            }
        }
        left
    }

    /// Remembers a connection that has output, for the end of the turn.
    pub(crate) fn flush_later(&self, connection: Rc<dyn crate::cluster::connection::Flush>) {
        self.unflushed.borrow_mut().push(connection);
        self.request_turn();
    }

    fn flush_connections(self: &Rc<Shard>) {
        loop {
            let Some(connection) = self.unflushed.borrow_mut().pop() else {
                return;
            };
            connection.flush(self);
        }
    }

    // ---- the tasks ----

    /// Runs the turns that were asked for.
    async fn finish_turns(self: Rc<Shard>) {
        while !self.stopping.get() {
            self.turn_wanted.wait().await;
            if let Some(since) = self.turn_wanted_since.take()
                && self.guard.is_lost_sleep(since)
            {
                self.count_rescued_sleep("work was waiting in its executor");
            }
            if self.turn() {
                rt::relax().await;
                self.io_seen();
                self.request_turn();
            }
        }
    }

    /// Drives the timer wheel.
    async fn run_timers(self: Rc<Shard>) {
        while !self.stopping.get() {
            let now = self.update_now();
            loop {
                let expired = self.timers.borrow_mut().poll(now);
                match expired {
                    Some(Timer::Waiter(key)) => self.complete_waiter(key, Outcome::Elapsed),
                    Some(Timer::Channel(key)) => self.cluster.channel_deadline(&self, key),
                    Some(Timer::Inbound(key)) => self.cluster.inbound_deadline(&self, key),
                    Some(Timer::Parked(key)) => self.cluster.parked_deadline(&self, key),
                    Some(Timer::Release) => self.cluster.go_on_releasing(&self),
                    Some(Timer::Detector) => self.cluster.detector_deadline(&self),
                    Some(Timer::Hedge(key)) => self.cluster.hedge(&self, key),
                    Some(Timer::Service(handle, session)) => {
                        // A sleep ends with its service, and nobody is late for it.
                        if self.service(handle).is_some() {
                            self.answer_service(handle, session, Ok(Payload::default()));
                        }
                    }
                    None => break,
                }
            }
            let next = self.timers.borrow().next_deadline();
            self.timer_armed.set(next.unwrap_or(Millis::MAX));
            let wait = next.map(|deadline| Duration::from_millis(deadline.saturating_sub(now).max(1)));
            sleep_or_wake(wait, &self.timer_changed).await;
            self.io_seen();
        }
    }

    /// Ends lost sleeps, and looks at silent connections.
    async fn run_guard(self: Rc<Shard>) {
        let port = &self.node.ports[self.index];
        let mut ticks = 0u32;
        while !self.stopping.get() {
            sleep_or_wake(Some(GUARD_TICK), &self.guard_hurried).await;
            self.guard.tick();
            self.io_seen();
            ticks = ticks.wrapping_add(1);
            // A message waits, a sleep is announced, and so nobody is on the way to ring? A sender may be
            // between its push and its ring: only if it still is so a while later was the sleep lost.
            if port.has_messages() && port.bell().is_announced() {
                let rings = port.bell().rings();
                rt::sleep(Duration::from_millis(1)).await;
                if port.has_messages() && port.bell().is_announced() && port.bell().rings() == rings {
                    self.count_rescued_sleep("its doorbell was not rung");
                    port.bell().ring();
                }
            }
            if ticks.is_multiple_of(SWEEP_TICKS) {
                self.cluster.sweep(&self);
            }
        }
    }

    fn count_rescued_sleep(&self, why: &str) {
        self.node.metrics.sleeps_rescued.add(1);
        self.log(
            Handle::NONE,
            format!(
                "shard {} slept although {why}; the guard tick woke it",
                self.index
            ),
        );
    }

    // ---- fairness between tasks and I/O ----

    /// Says that the executor has looked at its I/O.
    pub(crate) fn io_seen(&self) {
        self.completed_since_io.set(0);
        self.update_now();
    }

    /// Counts a completed call. True: too many have completed without a look at the I/O, and `waker` will
    /// be woken after one. A task whose calls are all answered at once would otherwise never let go.
    pub(crate) fn must_relax(&self, waker: &std::task::Waker) -> bool {
        let completed = self.completed_since_io.get() + 1;
        self.completed_since_io.set(completed);
        if completed <= COMPLETED_BEFORE_IO_MAX {
            return false;
        }
        self.relaxing.borrow_mut().push(waker.clone());
        self.relax_wanted.wake();
        true
    }

    async fn run_relaxing(self: Rc<Shard>) {
        while !self.stopping.get() {
            self.relax_wanted.wait().await;
            rt::relax().await;
            self.io_seen();
            let relaxed = std::mem::take(&mut *self.relaxing.borrow_mut());
            for waker in relaxed {
                waker.wake();
            }
        }
    }

    /// Time that a turn which began at `started` has left.
    pub(crate) fn is_turn_over(started: Instant) -> bool {
        started.elapsed() > TURN_TIME_MAX
    }
}
