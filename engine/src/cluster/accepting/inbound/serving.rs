//! The task of an accepted connection, and the answers that it takes.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;
use skyring_codec::native::Hello;

use crate::cluster::accepting::inbound::state::{Inbound, Progress};
use crate::cluster::accepting::incidents::Incident;
use crate::cluster::accepting::sessions::Holder;
use crate::core::ShardCore;
use crate::core::payload::Payload;
use crate::core::placement::shard_of_channel;
use crate::error::Error;
use crate::rt;
use crate::rt::stream::Stream;
use crate::rt::timer::sleep_or_wake;

/// How often a connection that is not read tells its peer that this end lives, in milliseconds: well within
/// the time after which peers call a node down.
const HEARTBEAT_INTERVAL_MS: Millis = 250;

/// Reads in a row that found bytes at once before other connections get their turn.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Why a connection is over.
enum Closed {
    Malformed(String),
    /// Its peer ended it, or this side did and has said so already.
    Ended,
    /// It is a channel that another shard owns.
    Moved(usize, Box<Hello>),
    /// It goes on with a session that another one has.
    Resumes(Rc<Inbound>, Box<Hello>),
}

impl Inbound {
    /// Tells the peer that this node stops, as far as it can be told.
    pub(in crate::cluster) fn send_goodbye(&self, shard: &Rc<ShardCore>) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.flush_later(shard);
    }

    /// Takes the answer to one of its requests, which had `bytes`.
    pub(in crate::cluster) fn respond(
        &self,
        shard: &Rc<ShardCore>,
        session: u32,
        bytes: usize,
        result: Result<Payload, Error>,
    ) {
        self.load.set(self.load.get().without(bytes));
        // A session takes answers without a connection too, and until it is noticed that there is none.
        let has_session = || self.connection.link.borrow().session_secret().is_some();
        if session != 0 && (self.connection.is_open() || has_session()) {
            {
                let mut link = self.connection.link.borrow_mut();
                match result {
                    Ok(payload) => link.respond(session, Ok(payload.0)),
                    Err(error) => {
                        link.respond_error(session, error.wire_code(), error.to_string().as_bytes())
                    }
                }
            }
            self.is_active.set(true);
            self.connection.message_put(shard);
            // While it passes requests on, its reader counts what all of them came to.
            if !self.is_passing_on.get() {
                self.count_held(shard);
            }
        }
        // The reader may be waiting for room.
        self.connection.written.wake();
    }

    /// Serves the connection to its end.
    pub(super) async fn run(self: Rc<Self>, shard: Rc<ShardCore>, stream: Rc<Stream>) {
        let closed = self.serve(&shard, &stream).await;
        // Whoever sends what is none of the protocol does not go on with anything.
        let is_malformed = matches!(closed, Closed::Malformed(_));
        match closed {
            Closed::Moved(owner, hello) => {
                self.move_to(&shard, &stream, owner, hello).await;
                return shard.cluster().remove_inbound(self.key.get());
            }
            Closed::Resumes(holder, hello) => {
                self.hand_over(&shard, stream, &hello, holder);
                return shard.cluster().remove_inbound(self.key.get());
            }
            Closed::Malformed(error) => {
                shard.node.metrics.connections_malformed.add(1);
                shard.cluster().incidents.log(&shard, Incident::Malformed, || {
                    format!("{} does not speak the cluster protocol: {error}", self.address())
                });
            }
            Closed::Ended => {}
        }
        if !self.connection.uses(&stream) {
            // Another connection goes on with the session, and has a task of its own.
            if is_malformed {
                self.discard(&shard);
            }
            return;
        }
        // What was answered before the end still goes out, as far as the socket takes it.
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
                Ok((false, _)) | Err(_) => return Closed::Ended,
            };
            if !self.connection.is_open() {
                return Closed::Ended;
            }
            if waited {
                shard.io_seen();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            shard.read_buffer.begin_work();
            let taken = self.take_requests(shard).await;
            shard.read_buffer.end_work();
            if let Err(error) = taken {
                return Closed::Malformed(error);
            }
            let hello = self.peer.borrow_mut().hello.take();
            if let Some(hello) = hello {
                let owner = shard_of_channel(hello.channel, shard.shards());
                if owner != shard.index {
                    return Closed::Moved(owner, hello);
                }
                let holder = {
                    let link = self.connection.link.borrow();
                    shard.cluster().session_holder(shard, &hello, &link)
                };
                match holder {
                    Holder::Nobody => {}
                    Holder::Resumes(holder) => return Closed::Resumes(holder, hello),
                    Holder::HasMovedOn => return Closed::Ended,
                }
                self.answer_hello(shard, &hello);
            }
            self.note_progress(shard);
            self.tick(shard);
            self.count_held(shard);
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.io_seen();
            }
        }
    }

    /// Notes whether a package was finished, or the first byte of one came. Bytes alone are no progress:
    /// one every few seconds would keep a connection for ever.
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
        self.is_active.set(true);
    }

    /// Waits until answers have left and requests are done; false when the connection has ended instead.
    pub(super) async fn wait_for_room(&self, shard: &Rc<ShardCore>) -> bool {
        shard.node.metrics.reads_paused.add(1);
        // It may be long: the rest of what was read must neither keep a read buffer nor go uncounted.
        self.connection.link.borrow_mut().own_input();
        shard.read_buffer.end_work();
        self.count_held(shard);
        let mut heartbeat_at = shard.now();
        while self.is_full() && self.connection.is_open() {
            self.connection.flush_later(shard);
            let pause = Duration::from_millis(HEARTBEAT_INTERVAL_MS);
            sleep_or_wake(Some(pause), &self.connection.written).await;
            // Pings are not read now either, and a peer that hears nothing gives the connection up.
            if heartbeat_at + HEARTBEAT_INTERVAL_MS <= shard.update_now() {
                heartbeat_at = shard.now();
                self.connection.link.borrow_mut().send_heartbeat();
            }
        }
        shard.read_buffer.begin_work();
        // It was not its fault that nothing was read.
        self.set_progressed(shard.now());
        self.connection.is_open()
    }
}
