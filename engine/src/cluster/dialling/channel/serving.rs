//! One connection of the channel, from its hello to its end.

use std::net::IpAddr;
use std::rc::Rc;

use skyring_codec::link::{Dialect, HANDSHAKE_MS_MAX};
use skyring_codec::native::CHANNELS_MAX;

use crate::cluster::dialling::channel::failure::{Ended, Failure, Fault};
use crate::cluster::dialling::channel::state::{Channel, Phase};
use crate::cluster::shared::hello;
use crate::core::ShardCore;
use crate::core::connection::ReadError;
use crate::core::settings::DialectChoice;
use crate::error::Text;
use crate::rt;
use crate::rt::stream::Stream;
use crate::tls::{Shell, ShellEvent};

/// Reads in a row that found bytes at once before the task yields to other connections.
const READS_IN_A_ROW_MAX: u32 = 16;

impl Channel {
    /// Serves one connection to its end; returns its cause.
    pub(super) async fn serve(&self, shard: &Rc<ShardCore>, stream: Rc<Stream>, address: IpAddr) -> Ended {
        shard.note_io_polled();
        self.state.borrow_mut().fault = None;
        // Calls whose deadline has passed end first, so that they are not sent.
        let _ = self.handle_events(shard, Failure::Broken(&self.last_cause()));
        let security = shard.node.settings.security.as_ref();
        let tls = security.and_then(|security| Some((security, security.tls()?)));
        // Skynet nodes have no TLS, and with TLS nothing else is spoken without it.
        let is_plain_skynet = tls.is_some_and(|(security, _)| security.allows_skynet(address));
        let shell = match tls {
            Some((_, tls)) if !is_plain_skynet => match Shell::dialler(&tls.identity(), &self.node) {
                Ok(shell) => Some(Box::new(shell)),
                Err(cause) => return Ended::HandshakeFailed(Fault::unproved(cause)),
            },
            _ => None,
        };
        self.connection.attach(Rc::clone(&stream), shell);
        if is_plain_skynet || shard.node.settings.dialect == DialectChoice::Skynet {
            self.connection.link.borrow_mut().connected();
            self.set_open(shard, 1, None);
        } else {
            let wanted = shard.cluster().channels_wanted(shard, &self.node);
            let channels = wanted.unwrap_or(CHANNELS_MAX);
            let hello = hello(shard, self.number, channels);
            let access = security.map(|security| security.access(address, &self.node));
            let dialled = {
                let mut link = self.connection.link.borrow_mut();
                link.set_access(access);
                link.dial(shard.now(), &hello)
            };
            if let Err(error) = dialled {
                self.connection.detach();
                return Ended::HandshakeFailed(Fault::new(error.to_string().into()));
            }
            let unanswered = Text::from("it has not answered the hello");
            self.set_last_failure(unanswered.clone());
            shard.cluster().shared.set_failure(&self.node, Some(&unanswered));
            self.arm(shard, shard.now() + HANDSHAKE_MS_MAX);
            self.connection.flush_later(shard);
        }

        let fault = self.read_replies(shard, &stream).await;

        self.sign_of_life.take();
        self.connection.write_alert();
        let phase = self.phase.replace(Phase::Offline);
        let fault = self.connection.detach().map_or(fault, Fault::new);
        let fault = self.state.borrow_mut().fault.take().unwrap_or(fault);
        self.set_last_failure(fault.cause.clone());
        self.connection.link.borrow_mut().disconnected();
        let down_cause = self.state.borrow().down_cause.clone();
        if let Some(cause) = &down_cause {
            // The node is down: it has said goodbye, or was marked down before.
            self.withdraw_from_down_node(cause);
        }
        let failure = match down_cause.is_some() {
            true => Failure::Down(&fault.cause),
            false => Failure::Broken(&fault.cause),
        };
        let _ = self.handle_events(shard, failure);
        match phase {
            Phase::Draining => Ended::Drained,
            Phase::Open => Ended::Lost(fault),
            Phase::Offline => Ended::HandshakeFailed(fault),
        }
    }

    fn count_late_replies(&self, shard: &ShardCore) {
        let late = self.connection.link.borrow().late_replies();
        let before = std::mem::replace(&mut self.state.borrow_mut().replies_late, late);
        if late > before {
            shard.node.metrics.replies_late.add(late - before);
        }
    }

    /// A Skynet node may delay the rest of a long answer until its first part is acknowledged.
    fn acknowledge_partial_reply(&self, stream: &Stream) {
        let link = self.connection.link.borrow();
        if link.dialect() != Some(Dialect::Native) && link.has_partial_input() {
            stream.acknowledge_now();
        }
    }

    /// Sends the link's own frames, now or at their deadline.
    fn flush_acknowledgement(&self, shard: &Rc<ShardCore>) {
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

    async fn read_replies(&self, shard: &Rc<ShardCore>, stream: &Stream) -> Fault {
        let mut reads_in_a_row = 0;
        loop {
            if self.is_done() {
                self.shutdown_gracefully();
                return Fault::new("no longer used".into());
            }
            let waited = match self.connection.read(stream, shard).await {
                Ok((true, waited)) => waited,
                Ok((false, _)) => return Fault::new("closed by the peer".into()),
                Err(ReadError::Io(error)) => return Fault::new(error.to_string().into()),
                Err(ReadError::Tls(fault)) => return fault.into(),
            };
            while let Some(event) = self.connection.next_shell_event() {
                match event {
                    ShellEvent::Verified => shard.node.metrics.tls_handshakes.add(1),
                    ShellEvent::Resumed => shard.node.metrics.tls_resumptions.add(1),
                    // What only an acceptor finds out.
                    ShellEvent::Begun | ShellEvent::Plain => {}
                }
            }
            if waited {
                shard.note_io_polled();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            self.note_sign_of_life(shard);
            if let Err(fault) = self.handle_events(shard, Failure::Disabled) {
                return fault;
            }
            self.count_late_replies(shard);
            self.acknowledge_partial_reply(stream);
            self.flush_acknowledgement(shard);
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.note_io_polled();
            }
        }
    }
}
