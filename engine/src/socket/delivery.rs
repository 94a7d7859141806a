//! The delivery of commands to a socket's shard, and of events to its owner.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::state::{Closing, Part};
use super::table::SocketShard;
use super::{datagram, secure, shard_of_socket};
use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::router::Job;
use crate::core::socket_event::{Delivery, EVENT_OVERHEAD_BYTES, SocketEvent, SocketId, SocketNews};
use crate::error::Error;
use crate::tls::{Preface, ServerTls};

/// Bytes that the services of one shard may have written to sockets of other shards that have not accepted them; past
/// it a write is refused.
pub const WRITES_UNDER_WAY_BYTES_MAX: usize = 64 << 20;

/// A command of a service to a socket, without its addresses.
#[derive(Debug)]
pub(super) enum Action {
    /// Read it, and report that to the sender.
    Start,
    /// The same for a listener, whose connections go to the instances of this keyed service.
    StartSpread(Handle),
    /// Read it as that of a client with TLS, which may begin with something else.
    StartTls(ServerTls, Option<Preface>),
    /// Stop reading it.
    Pause,
    Close,
    /// Close it if the sender, which has ended, still owns it.
    CloseUnowned,
    Shutdown,
    /// Shut it down for writing.
    Finish,
    Write {
        bytes: Bytes,
        is_low: bool,
    },
    SendTo {
        to: std::net::SocketAddr,
        bytes: Bytes,
    },
    SetPeer {
        host: String,
        port: u16,
    },
}

/// Counts bytes until its command is executed or dropped.
#[derive(Debug)]
pub(super) struct InTransit {
    bytes: usize,
    sum: Arc<AtomicUsize>,
}

impl Drop for InTransit {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command to a socket.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) socket: SocketId,
    pub(super) sender: Handle,
    pub(super) action: Action,
}

impl ShardCore {
    /// Executes a command, or stages it for the shard of its socket. Writes are refused when too many bytes are in
    /// transit, and when the socket belongs to this shard and is not open.
    pub(super) fn send_command(self: &Rc<Self>, command: Command) -> Result<(), Error> {
        let owner_shard = shard_of_socket(command.socket, self.shards());
        if owner_shard == self.index {
            return self.execute(command);
        }
        let mut in_transit = None;
        if let Action::Write { bytes, .. } | Action::SendTo { bytes, .. } = &command.action {
            let bytes = bytes.len() + EVENT_OVERHEAD_BYTES;
            let sum = &self.sockets().in_transit;
            if sum.fetch_add(bytes, Ordering::Relaxed) + bytes > WRITES_UNDER_WAY_BYTES_MAX {
                sum.fetch_sub(bytes, Ordering::Relaxed);
                return Err(Error::overloaded(format!(
                    "{WRITES_UNDER_WAY_BYTES_MAX} bytes are in transit to sockets of other shards"
                )));
            }
            let sum = Arc::clone(sum);
            in_transit = Some(InTransit { bytes, sum });
        }
        // Never refused: the sum above bounds the large commands, and the small ones come with messages, which are
        // bounded. The other shard drops a command for a closed socket silently.
        let job: Job = Box::new(move |shard| {
            let _in_transit = in_transit;
            let _ = shard.execute(command);
        });
        let _ = self.stage(owner_shard, Envelope::SocketCommand(job));
        Ok(())
    }

    /// Executes a command for a socket of this shard.
    fn execute(self: &Rc<Self>, command: Command) -> Result<(), Error> {
        let Some(socket) = self.sockets().get(command.socket) else {
            return match command.action {
                Action::Start | Action::StartSpread(_) | Action::StartTls(..) => {
                    let cause = "invalid socket".into();
                    let news = SocketNews::Failed { cause };
                    self.notify_owner(command.sender, command.socket, news, 0);
                    Ok(())
                }
                Action::Close | Action::CloseUnowned | Action::Shutdown | Action::Pause => Ok(()),
                _ => Err(not_open(command.socket)),
            };
        };
        match command.action {
            Action::Start | Action::StartSpread(_) => {
                if let (Part::Listener(spread), Action::StartSpread(keyed)) = (&socket.part, &command.action)
                {
                    spread.set(Some(*keyed));
                }
                if socket.closing() == Closing::No {
                    socket.set_owner(command.sender);
                    socket.set_started(true);
                    let (address, port) = match &socket.part {
                        // It is told when the handshake ends.
                        Part::Stream(part) if part.connection.is_handshaking() => return Ok(()),
                        Part::Stream(part) => part.address(),
                        _ => ("start".into(), 0),
                    };
                    socket.notify(self, SocketNews::Opened { address, port });
                }
                Ok(())
            }
            Action::StartTls(tls, preface) => secure::start(&socket, command.sender, &tls, preface),
            Action::Pause => {
                socket.set_started(false);
                Ok(())
            }
            Action::Close => {
                socket.close(Closing::AfterWrites);
                Ok(())
            }
            Action::CloseUnowned => {
                if socket.owner() == command.sender {
                    socket.close(Closing::AfterWrites);
                }
                Ok(())
            }
            Action::Shutdown => {
                socket.close(Closing::AtOnce);
                Ok(())
            }
            _ if socket.closing() != Closing::No => Err(not_open(command.socket)),
            Action::Finish => match &socket.part {
                Part::Stream(part) => {
                    part.finish();
                    socket.changed.wake();
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is no connection", socket.id))),
            },
            Action::Write { bytes, is_low } => match &socket.part {
                Part::Stream(part) => part.write(self, &socket, |output| output.push(bytes, is_low)),
                Part::Datagram(part) => {
                    part.write(self, bytes);
                    Ok(())
                }
                Part::Listener(_) | Part::Input => {
                    Err(Error::invalid(format!("socket {} takes no bytes", socket.id)))
                }
            },
            Action::SendTo { to, bytes } => match &socket.part {
                Part::Datagram(part) => {
                    part.send_to(self, to, &bytes);
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is not UDP", socket.id))),
            },
            Action::SetPeer { host, port } => match &socket.part {
                Part::Datagram(_) => {
                    datagram::set_peer(self, &socket, host, port);
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is not UDP", socket.id))),
            },
        }
    }

    /// Delivers an event to the owner of a socket.
    pub(super) fn notify_owner(
        self: &Rc<Self>,
        owner: Handle,
        socket: SocketId,
        news: SocketNews,
        bytes: usize,
    ) {
        self.deliver_event(Delivery {
            owner,
            event: SocketEvent { socket, news },
            bytes,
        });
    }

    fn close_unowned(self: &Rc<Self>, socket: SocketId, owner: Handle) {
        // Closing is never refused.
        let _ = self.send_command(Command {
            socket,
            sender: owner,
            action: Action::CloseUnowned,
        });
    }
}

impl SocketShard {
    /// Closes the sockets of an event whose owner has ended.
    pub(crate) fn close_unowned_sockets(&self, shard: &Rc<ShardCore>, owner: Handle, event: SocketEvent) {
        // No service will start an accepted connection: close it.
        if let SocketNews::Accepted { socket, .. } = event.news {
            shard.close_unowned(socket, owner);
        }
        shard.close_unowned(event.socket, owner);
    }

    /// Counts handled bytes of a socket's events on the socket's shard.
    pub(crate) fn event_handled(&self, shard: &Rc<ShardCore>, socket: SocketId, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let owner_shard = shard_of_socket(socket, shard.shards());
        if owner_shard != shard.index {
            let handled = Envelope::Handled {
                socket,
                bytes: bytes as u32,
            };
            let _ = shard.stage(owner_shard, handled);
        } else if let Some(socket) = self.get(socket) {
            socket.count_handled(bytes);
            self.remove_unhandled(bytes);
        }
    }

    /// Closes the sockets of a service that has ended, on every shard.
    pub(crate) fn owner_ended(&self, shard: &Rc<ShardCore>, owner: Handle) {
        if self.remove_owner(owner) {
            shard.run_on_all(move |shard| shard.sockets().close_owned_by(owner));
        }
    }
}

fn not_open(socket: SocketId) -> Error {
    Error::invalid(format!("socket {socket} is not open"))
}
