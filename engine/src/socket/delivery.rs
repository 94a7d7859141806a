//! How commands get to a socket's shard, and its events to its owner.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::state::{Closing, Part};
use super::table::SocketShard;
use super::{datagram, home};
use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::router::Job;
use crate::core::socket_event::{Delivery, EVENT_OVERHEAD_BYTES, SocketEvent, SocketId, SocketNews};
use crate::error::Error;

/// Bytes that the services of one shard may have written to sockets of other shards before those take them;
/// past it a write is refused.
pub const WRITES_UNDER_WAY_BYTES_MAX: usize = 64 << 20;

/// What a service wants of a socket.
#[derive(Debug)]
pub(super) enum Action {
    /// Read it, and tell the sender.
    Start,
    /// Do not read it.
    Pause,
    Close,
    /// Close it if it still belongs to the sender, which has ended.
    CloseUnowned,
    Shutdown,
    /// Tell the peer that nothing more is written.
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

/// Counts bytes for as long as they are on their way.
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

/// An action on its way to the shard of its socket.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) socket: SocketId,
    pub(super) sender: Handle,
    pub(super) action: Action,
}

impl ShardCore {
    /// Executes a command, or hands it to the shard of its socket. Writes are refused when too much is
    /// on the way, and when the socket is of this shard and is not open.
    pub(super) fn send_command(self: &Rc<Self>, command: Command) -> Result<(), Error> {
        let home = home(command.socket, self.shards());
        if home == self.index {
            return self.execute(command);
        }
        let mut in_transit = None;
        if let Action::Write { bytes, .. } | Action::SendTo { bytes, .. } = &command.action {
            let bytes = bytes.len() + EVENT_OVERHEAD_BYTES;
            let sum = &self.sockets().in_transit;
            if sum.fetch_add(bytes, Ordering::Relaxed) + bytes > WRITES_UNDER_WAY_BYTES_MAX {
                sum.fetch_sub(bytes, Ordering::Relaxed);
                return Err(Error::overloaded(format!(
                    "{WRITES_UNDER_WAY_BYTES_MAX} bytes are on the way to sockets of other shards"
                )));
            }
            let sum = Arc::clone(sum);
            in_transit = Some(InTransit { bytes, sum });
        }
        // Never refused: the sum above bounds what is large, and what is small comes once a message. What is refused
        // there is refused silently: the socket was closed meanwhile.
        let job: Job = Box::new(move |shard| {
            let _in_transit = in_transit;
            let _ = shard.execute(command);
        });
        let _ = self.stage(home, Envelope::SocketCommand(job));
        Ok(())
    }

    /// Executes a command for a socket of this shard.
    fn execute(self: &Rc<Self>, command: Command) -> Result<(), Error> {
        let Some(socket) = self.sockets().get(command.socket) else {
            return match command.action {
                Action::Start => {
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
            Action::Start => {
                if socket.closing() == Closing::No {
                    socket.set_owner(command.sender);
                    socket.set_started(true);
                    let (address, port) = match &socket.part {
                        Part::Stream(part) => part.address(),
                        _ => ("start".into(), 0),
                    };
                    socket.notify(self, SocketNews::Opened { address, port });
                }
                Ok(())
            }
            Action::Pause => {
                socket.set_started(false);
                Ok(())
            }
            Action::Close => {
                socket.close(Closing::Gently);
                Ok(())
            }
            Action::CloseUnowned => {
                if socket.owner() == command.sender {
                    socket.close(Closing::Gently);
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
                Part::Stream(part) => part.write(self, &socket, bytes, is_low),
                Part::Datagram(part) => {
                    part.write(self, bytes);
                    Ok(())
                }
                Part::Listener | Part::Input => {
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

    /// Hands an event to the owner of a socket.
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
    /// An event has no owner any more.
    pub(crate) fn owner_is_gone(&self, shard: &Rc<ShardCore>, owner: Handle, event: SocketEvent) {
        // A connection that nobody will start is of no use to its peer either.
        if let SocketNews::Accepted { socket, .. } = event.news {
            shard.close_unowned(socket, owner);
        }
        shard.close_unowned(event.socket, owner);
    }

    /// The owner of a socket has handled so much of its events: the socket's shard counts it.
    pub(crate) fn event_handled(&self, shard: &Rc<ShardCore>, socket: SocketId, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let home = home(socket, shard.shards());
        if home != shard.index {
            let handled = Envelope::Handled {
                socket,
                bytes: bytes as u32,
            };
            let _ = shard.stage(home, handled);
        } else if let Some(socket) = self.get(socket) {
            socket.handled(bytes);
            self.remove_unhandled(bytes);
        }
    }

    /// Closes the sockets of a service that has ended, on every shard.
    pub(crate) fn owner_ended(&self, shard: &Rc<ShardCore>, owner: Handle) {
        if self.forget_owner(owner) {
            shard.run_on_all(move |shard| shard.sockets().close_those_of(owner));
        }
    }
}

fn not_open(socket: SocketId) -> Error {
    Error::invalid(format!("socket {socket} is not open"))
}
