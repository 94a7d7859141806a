//! One connection of the channel, from its hello to its end.

use std::rc::Rc;

use skyring_codec::link::{Dialect, HANDSHAKE_MS_MAX, ProtocolError};
use skyring_codec::native::CHANNELS_MAX;

use super::{Channel, Loss};
use crate::cluster::detector::Evidence;
use crate::error::Text;
use crate::node::shared::DialectChoice;
use crate::rt;
use crate::rt::stream::Stream;
use crate::shard::Shard;

/// Reads in a row that found bytes at once before other connections get their turn.
const READS_IN_A_ROW_MAX: u32 = 16;

/// What makes a connection useless.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) cause: Text,
    /// There was no sign of life for as long as is bearable.
    pub(super) is_silence: bool,
}

impl Fault {
    pub(super) fn new(cause: Text) -> Fault {
        Fault {
            cause,
            is_silence: false,
        }
    }

    /// What it says of the node.
    pub(super) fn evidence(self) -> Evidence {
        match self.is_silence {
            true => Evidence::Silent(self.cause),
            false => Evidence::Lost(self.cause),
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        Fault {
            cause: error.to_string().into(),
            is_silence: matches!(error, ProtocolError::Silent { .. }),
        }
    }
}

/// How a connection ended, and why.
pub(super) enum Ended {
    /// The peer had said goodbye, and it was not needed any more.
    Left,
    /// The peer was met, and lost.
    Lost(Fault),
    /// It never said what it speaks.
    NotMet(Text),
}

impl Channel {
    /// Serves one connection to its end, and says what ended it.
    pub(super) async fn serve(&self, shard: &Rc<Shard>, stream: Rc<Stream>) -> Ended {
        shard.io_seen();
        *self.fault.borrow_mut() = None;
        // Calls that expired meanwhile go first, so that they are not sent at all.
        let _ = self.take_events(shard, Loss::Broken(&self.last_cause()));
        self.connection.attach(Rc::clone(&stream));
        if shard.node.settings.dialect == DialectChoice::Skynet {
            self.connection.link.borrow_mut().connected();
            self.ready(shard, 1, None);
        } else {
            let wanted = shard.cluster.channels_wanted(shard, &self.node);
            let channels = wanted.unwrap_or(CHANNELS_MAX);
            let hello = shard.node.hello(self.number, channels);
            let dialled = self.connection.link.borrow_mut().dial(shard.now(), &hello);
            if let Err(error) = dialled {
                self.connection.detach();
                return Ended::NotMet(error.to_string().into());
            }
            let unanswered = Text::from("it has not answered the hello");
            *self.last_failure.borrow_mut() = Some(unanswered.clone());
            shard.node.note_failure(&self.node, Some(&unanswered));
            self.arm(shard, shard.now() + HANDSHAKE_MS_MAX);
            self.connection.flush_later(shard);
        }

        let fault = self.read_replies(shard, &stream).await;

        let was_met = self.connected.replace(false);
        self.is_open.set(false);
        let is_left = self.is_left.replace(false);
        let fault = self.connection.detach().map_or(fault, Fault::new);
        let fault = self.fault.borrow_mut().take().unwrap_or(fault);
        *self.last_failure.borrow_mut() = Some(fault.cause.clone());
        self.connection.link.borrow_mut().disconnected();
        let is_down = self.closed.borrow().is_some();
        if is_down {
            // The node is not worth waiting for: it has said goodbye, or was called down before.
            self.connection.link.borrow_mut().withdraw(|_| true);
        }
        let loss = match is_down {
            true => Loss::Down(&fault.cause),
            false => Loss::Broken(&fault.cause),
        };
        let _ = self.take_events(shard, loss);
        match was_met {
            true if is_left => Ended::Left,
            true => Ended::Lost(fault),
            false => Ended::NotMet(fault.cause),
        }
    }

    fn count_late_replies(&self, shard: &Shard) {
        let late = self.connection.link.borrow().late_replies();
        let before = self.replies_late.replace(late);
        if late > before {
            shard.node.metrics.replies_late.add(late - before);
        }
    }

    /// A Skynet node may hold the rest of a long answer back until its first part is acknowledged.
    fn hurry_the_rest(&self, stream: &Stream) {
        let link = self.connection.link.borrow();
        if link.dialect() != Some(Dialect::Native) && link.has_partial_input() {
            stream.acknowledge_now();
        }
    }

    /// Has what the link has to say of its own go out, now or soon.
    fn acknowledge(&self, shard: &Rc<Shard>) {
        let (has_output, next) = {
            let link = self.connection.link.borrow();
            (link.has_output(), link.ack_deadline())
        };
        if has_output {
            self.connection.flush_later(shard);
        }
        if let Some(next) = next {
            self.arm(shard, next);
        }
    }

    async fn read_replies(&self, shard: &Rc<Shard>, stream: &Stream) -> Fault {
        let mut reads_in_a_row = 0;
        loop {
            if self.is_done() {
                self.leave();
                return Fault::new("no longer used".into());
            }
            let waited = match self.connection.read(stream, shard).await {
                Ok((true, waited)) => waited,
                Ok((false, _)) => return Fault::new("closed by the peer".into()),
                Err(error) => return Fault::new(error.to_string().into()),
            };
            if waited {
                shard.io_seen();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            if let Err(fault) = self.take_events(shard, Loss::Disabled) {
                return fault;
            }
            self.count_late_replies(shard);
            self.hurry_the_rest(stream);
            self.acknowledge(shard);
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.io_seen();
            }
        }
    }
}
