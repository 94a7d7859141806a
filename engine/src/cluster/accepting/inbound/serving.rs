//! The task of an inbound connection, and its answers.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;
use skyring_codec::link::{Dialect, ProtocolError};
use skyring_codec::native::{Hello, Unproved};

use crate::cluster::accepting::inbound::state::{Inbound, Progress};
use crate::cluster::accepting::incidents::Incident;
use crate::cluster::accepting::sessions::SessionLookup;
use crate::core::ShardCore;
use crate::core::connection::ReadError;
use crate::core::payload::Payload;
use crate::core::placement::shard_of_channel;
use crate::error::Error;
use crate::rt;
use crate::rt::stream::Stream;
use crate::rt::timer::sleep_or_wake;
use crate::tls::TlsFault;

/// The interval of heartbeats on a connection that is not read, in milliseconds: well within the time after which
/// peers mark a node down.
const HEARTBEAT_INTERVAL_MS: Millis = 250;

/// Reads in a row that found bytes at once before the task yields to other connections.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Why a connection has ended.
enum Closed {
    Malformed(ProtocolError),
    /// The peer does not prove what it must.
    Unproved(Unproved),
    /// Its TLS is wrong, or its certificate.
    Tls(TlsFault),
    /// The peer ended it, or this side did and has logged why.
    Ended,
    /// It is a channel that another shard owns.
    Moved(usize, Box<Hello>),
    /// It resumes a session that another one holds.
    Resumes(Rc<Inbound>, Box<Hello>),
}

impl Inbound {
    /// Sends a goodbye, if the dialect has one.
    pub(in crate::cluster) fn send_goodbye(&self, shard: &Rc<ShardCore>) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.flush_later(shard);
    }

    /// Queues the answer to one of its requests, which had `bytes`.
    pub(in crate::cluster) fn respond(
        &self,
        shard: &Rc<ShardCore>,
        session: u32,
        bytes: usize,
        result: Result<Payload, Error>,
    ) {
        self.load.set(self.load.get().without(bytes));
        // A session accepts answers while it is detached, and before the break is noticed.
        let has_session = || self.connection.link.borrow().session_secret().is_some();
        if session != 0 && (self.connection.is_open() || has_session()) {
            {
                let mut link = self.connection.link.borrow_mut();
                match result {
                    Ok(payload) => link.respond(session, Ok(payload.0)),
                    Err(error) if link.dialect() == Dialect::Native => {
                        let (code, payload) = error.to_wire();
                        link.respond_error(session, code, &payload);
                    }
                    Err(error) => link.respond(session, Err(error.to_string().as_bytes())),
                }
            }
            self.is_active.set(true);
            self.connection.message_queued(shard);
            // While it dispatches requests, the reader counts for all of them afterwards.
            if !self.is_dispatching.get() {
                self.count_held(shard);
            }
        }
        // The reader may be waiting for capacity.
        self.connection.written.wake();
    }

    /// Serves the connection to its end.
    pub(super) async fn run(self: Rc<Self>, shard: Rc<ShardCore>, stream: Rc<Stream>) {
        let closed = self.serve(&shard, &stream).await;
        // The session of a peer that violates the protocol does not resume.
        let is_malformed = matches!(closed, Closed::Malformed(_));
        match closed {
            Closed::Moved(owner, hello) => {
                self.move_to(&shard, &stream, owner, hello).await;
                return shard.cluster().remove_inbound(self.key.get());
            }
            Closed::Resumes(holder, hello) => {
                self.transfer_to(&shard, stream, &hello, holder);
                return shard.cluster().remove_inbound(self.key.get());
            }
            Closed::Malformed(error) => {
                shard.node.metrics.connections_malformed.add(1);
                shard.cluster().incidents.log(&shard, Incident::Malformed, || {
                    format!("{} does not speak the cluster protocol: {error}", self.address())
                });
            }
            Closed::Unproved(reason) => self.count_unproved(&shard, reason),
            Closed::Tls(fault) => self.count_tls_fault(&shard, &fault),
            Closed::Ended => {}
        }
        if !self.connection.uses(&stream) {
            // Another connection has resumed the session, with a task of its own.
            if is_malformed {
                self.discard(&shard);
            }
            return;
        }
        self.end_wait(&shard);
        // Answers from before the end still go out, as far as the socket accepts them.
        self.connection.write_now();
        self.connection.detach();
        if !is_malformed && self.detach(&shard) {
            return;
        }
        self.discard(&shard);
        shard.cluster().remove_inbound(self.key.get());
    }

    async fn serve(&self, shard: &Rc<ShardCore>, stream: &Stream) -> Closed {
        let mut reads_in_a_row = 0;
        loop {
            let waited = match self.connection.read(stream, shard).await {
                Ok((true, waited)) => waited,
                Err(ReadError::Tls(fault)) => return Closed::Tls(fault),
                Ok((false, _)) | Err(ReadError::Io(_)) => return Closed::Ended,
            };
            self.handle_shell_events(shard);
            if !self.connection.is_open() {
                return Closed::Ended;
            }
            if waited {
                shard.note_io_polled();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            self.note_sign_of_life(shard);
            shard.read_buffer.begin_work();
            let taken = self.take_requests(shard).await;
            shard.read_buffer.end_work();
            match taken {
                Ok(()) => {}
                Err(ProtocolError::Unproved(reason)) => return Closed::Unproved(reason),
                Err(error) => return Closed::Malformed(error),
            }
            let hello = self.peer.borrow_mut().hello.take();
            if let Some(mut hello) = hello {
                if let Err(ProtocolError::Unproved(reason)) = self.check_name(&mut hello) {
                    return Closed::Unproved(reason);
                }
                let owner = shard_of_channel(hello.channel, shard.shards());
                if owner != shard.index {
                    return Closed::Moved(owner, hello);
                }
                let holder = {
                    let link = self.connection.link.borrow();
                    shard.cluster().find_session(shard, &hello, &link)
                };
                match holder {
                    SessionLookup::NotFound => {}
                    SessionLookup::Resumable(holder) => return Closed::Resumes(holder, hello),
                    SessionLookup::Superseded => return Closed::Ended,
                }
                self.answer_hello(shard, &hello);
            }
            self.note_progress(shard);
            self.tick(shard);
            self.count_held(shard);
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.note_io_polled();
            }
        }
    }

    /// Bytes were received: a sign of life of the peer's process, if it has proved who it is.
    fn note_sign_of_life(&self, shard: &ShardCore) {
        if self.waiting_since.get().is_none()
            && let Some(sign) = &*self.sign_of_life.borrow()
        {
            sign.note(shard.now());
        }
    }

    /// Records whether a package was finished, or the first byte of one received. Bytes alone are no progress: one
    /// every few seconds would keep a connection open for ever.
    pub(super) fn note_progress(&self, shard: &ShardCore) {
        let link = self.connection.link.borrow();
        let before = self.progress.get();
        let packages = link.packages_seen();
        let has_progressed = packages != before.packages || !before.is_unfinished;
        self.progress.set(Progress {
            at: if has_progressed { shard.now() } else { before.at },
            packages,
            is_unfinished: link.has_partial_input(),
        });
        let is_proved = self.waiting_since.get().is_some() && !link.awaits_proof();
        drop(link);
        if is_proved {
            self.end_wait(shard);
            self.return_permit();
        }
        self.is_active.set(true);
    }

    /// Waits until answers are written and requests finished; returns false when the connection has ended instead.
    pub(super) async fn wait_for_capacity(&self, shard: &Rc<ShardCore>) -> bool {
        shard.node.metrics.reads_paused.add(1);
        // The wait may be long: the unprocessed input must neither pin a read buffer nor go uncounted.
        self.connection.link.borrow_mut().own_input();
        shard.read_buffer.end_work();
        self.count_held(shard);
        let mut heartbeat_at = shard.now();
        while self.is_full() && self.connection.is_open() {
            self.connection.flush_later(shard);
            let pause = Duration::from_millis(HEARTBEAT_INTERVAL_MS);
            sleep_or_wake(Some(pause), &self.connection.written).await;
            // Pings are not read now either, and a peer that receives nothing abandons the connection.
            if heartbeat_at + HEARTBEAT_INTERVAL_MS <= shard.update_now() {
                heartbeat_at = shard.now();
                self.connection.link.borrow_mut().send_heartbeat();
            }
        }
        shard.read_buffer.begin_work();
        // The pause is not the peer's fault.
        self.set_progressed(shard.now());
        self.connection.is_open()
    }
}
