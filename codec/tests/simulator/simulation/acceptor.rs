//! The accepting side of a channel, driven as the engine does it: it passes requests to services (see `services`)
//! and their answers back; it stops reading while too much is queued; with a session it outlives its connection (see
//! `sessions`).

use std::collections::BTreeMap;

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLink, Dialect, SESSION_KEPT_MS_MAX};

use super::clock::Event;
use super::ledger::Process;
use super::messages::Command;
use super::network::Side;
use super::world::World;

/// Memory that an idle acceptor may hold: the table of names, and buffers that are reused.
const IDLE_BYTES_MAX: usize = 64 * 1024;

/// The accepting side of a channel; see the module documentation.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) process: Process,
    pub(super) link: CalleeLink,
    /// The connection that it reads.
    pub(super) connection: Option<usize>,
    /// Since when there is none.
    pub(super) detached_since: Millis,
    /// Requests that are being handled, by message.
    pub(super) handled: BTreeMap<u64, Command>,
    /// It is not read, because too much is queued.
    pub(super) is_paused: bool,
    pub(super) is_flush_scheduled: bool,
    /// The next heartbeat is scheduled.
    is_heartbeat_scheduled: bool,
    /// The deadline that a tick is scheduled for.
    deadline_scheduled: Option<Millis>,
    /// Answers were dropped that its caller may not have received.
    pub(super) is_trimmed: bool,
}

impl Acceptor {
    /// Whether no answer is queued or to come, and no request has arrived in part.
    pub(super) fn is_idle(&self) -> bool {
        let link = &self.link;
        self.handled.is_empty() && !self.is_paused && !link.has_output() && !link.has_partial_input()
    }

    /// Resets what was scheduled for the previous connection.
    pub(super) fn forget_schedule(&mut self) {
        self.is_paused = false;
        self.is_flush_scheduled = false;
    }

    /// Checks the link at the end of a run; describes what is left over, if anything.
    pub(super) fn close(&mut self) -> Option<String> {
        let link = &mut self.link;
        if link.has_output() {
            return Some(format!("{} bytes of answers", link.out_buffer_bytes()));
        }
        link.release_memory();
        let held = link.held_bytes();
        // Without a connection it may retain answers until the session expires.
        let is_too_much = self.connection.is_some() && held > IDLE_BYTES_MAX;
        is_too_much.then(|| format!("{held} bytes of memory"))
    }
}

impl World {
    /// Accepts a connection.
    pub(super) fn accept(&mut self, connection: usize) {
        let process = self.network.get(connection).process(Side::Acceptor);
        self.network.set_acceptor(connection, self.acceptors.len());
        let limits = self.settings.callee_limits;
        let dialler = self.network.get(connection).process(Side::Dialler).node;
        let allows_skynet = self.settings.nodes[dialler].dialect == Dialect::Skynet;
        let is_native = self.settings.nodes[process.node].dialect == Dialect::Native;
        let access = self.settings.access(process.node, allows_skynet);
        let link = match access.filter(|_| is_native) {
            Some(access) => CalleeLink::with_access(limits, access),
            None => CalleeLink::new(limits),
        };
        self.acceptors.push(Some(Acceptor {
            process,
            link,
            connection: Some(connection),
            detached_since: 0,
            handled: BTreeMap::new(),
            is_paused: false,
            is_flush_scheduled: false,
            is_heartbeat_scheduled: false,
            deadline_scheduled: None,
            is_trimmed: false,
        }));
    }

    /// The acceptor that reads a connection; None when its side is closed.
    pub(super) fn acceptor_of(&self, connection: usize) -> Option<usize> {
        let id = self.network.get(connection).acceptor;
        let acceptor = self.acceptors[id].as_ref()?;
        (acceptor.connection == Some(connection)).then_some(id)
    }

    /// Schedules the work of an acceptor after an event: acknowledgements, output, timers.
    pub(super) fn drive_acceptor(&mut self, id: usize) {
        let now = self.clock.now();
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        acceptor.link.tick(now);
        if let Some(deadline) = acceptor.link.next_deadline()
            && acceptor
                .deadline_scheduled
                .is_none_or(|deadline_scheduled| deadline < deadline_scheduled)
        {
            acceptor.deadline_scheduled = Some(deadline.max(now + 1));
            self.clock
                .schedule(deadline.max(now + 1), Event::Tick { acceptor: id });
        }
        if let Some(connection) = acceptor.connection
            && acceptor.link.has_output()
            && !std::mem::replace(&mut acceptor.is_flush_scheduled, true)
        {
            let side = Side::Acceptor;
            self.clock.schedule(now, Event::Flush { connection, side });
        }
    }

    /// A deadline of the link has come.
    pub(super) fn tick(&mut self, id: usize) {
        if let Some(acceptor) = &mut self.acceptors[id] {
            acceptor.deadline_scheduled = None;
            self.drive_acceptor(id);
        }
    }

    // ---- back pressure ----

    fn is_full(&self, acceptor: &Acceptor) -> bool {
        acceptor.handled.len() >= self.settings.handled_max || acceptor.link.is_output_full()
    }

    /// Stops reading if too much is queued; whether it has.
    pub(super) fn pause_if_full(&mut self, id: usize) -> bool {
        let Some(acceptor) = &self.acceptors[id] else {
            return true;
        };
        if !self.is_full(acceptor) {
            return false;
        }
        let Some(acceptor) = &mut self.acceptors[id] else {
            return true;
        };
        if !std::mem::replace(&mut acceptor.is_paused, true) {
            self.ledger.counts.reads_paused += 1;
            acceptor.link.own_input();
            self.send_heartbeat_later(id);
        }
        true
    }

    /// Resumes reading, if it was stopped.
    pub(super) fn read_on(&mut self, id: usize) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        if !std::mem::take(&mut acceptor.is_paused) {
            return;
        }
        self.serve(id);
        if let Some(connection) = self.acceptors[id]
            .as_ref()
            .and_then(|acceptor| acceptor.connection)
        {
            self.network
                .expect(&mut self.clock, connection, Side::Acceptor, 0);
        }
    }

    fn send_heartbeat_later(&mut self, id: usize) {
        let interval = self.settings.heartbeat.interval_ms;
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        if interval > 0 && !std::mem::replace(&mut acceptor.is_heartbeat_scheduled, true) {
            let at = self.clock.now() + interval;
            self.clock.schedule(at, Event::SendHeartbeat { acceptor: id });
        }
    }

    /// Sends a heartbeat while the acceptor does not read.
    pub(super) fn send_heartbeat(&mut self, id: usize) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        acceptor.is_heartbeat_scheduled = false;
        if acceptor.is_paused {
            acceptor.link.send_heartbeat();
            self.drive_acceptor(id);
            self.send_heartbeat_later(id);
        }
    }

    // ---- its end ----

    /// Sends goodbye, and closes some time later.
    pub(super) fn send_goodbye(&mut self, connection: usize, closes_after: Millis) {
        if let Some(id) = self.acceptor_of(connection)
            && let Some(acceptor) = &mut self.acceptors[id]
        {
            acceptor.link.goodbye();
            self.drive_acceptor(id);
            let at = self.clock.now() + closes_after;
            self.clock.schedule(at, Event::CloseAfterGoodbye { connection });
        }
    }

    /// Closes after a goodbye.
    pub(super) fn close_after_goodbye(&mut self, connection: usize) {
        if let Some(id) = self.acceptor_of(connection) {
            self.end_acceptor(id, "it has sent goodbye");
        }
    }

    /// Its connection is over. The acceptor is kept if its session can be resumed.
    pub(super) fn end_acceptor(&mut self, id: usize, why: &str) {
        let now = self.clock.now();
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        let Some(connection) = acceptor.connection.take() else {
            return;
        };
        acceptor.detached_since = now;
        acceptor.is_paused = false;
        acceptor.is_flush_scheduled = false;
        let is_kept = acceptor.link.disconnected();
        if is_kept {
            let at = now + SESSION_KEPT_MS_MAX;
            self.clock.schedule(at, Event::DropSession { acceptor: id });
        } else {
            self.acceptors[id] = None;
        }
        self.note(|_| format!("connection {connection} is closed at acceptor {id}, kept {is_kept}: {why}"));
        self.close_side(connection, Side::Acceptor);
    }
}
