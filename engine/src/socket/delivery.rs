//! How orders get to a socket's shard, and its events to its owner's.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::state::{Closing, Part};
use super::{EVENT_OVERHEAD_BYTES, SocketEvent, SocketId, SocketNews, datagram, home};
use crate::error::Error;
use crate::service::handle::Handle;
use crate::service::placement::shard_of_handle;
use crate::shard::Shard;
use crate::shard::envelope::{Due, Envelope};

/// Bytes that the services of one shard may have written to sockets of other shards before those take them;
/// past it a write is refused.
pub const WRITES_UNDER_WAY_BYTES_MAX: usize = 64 << 20;

/// What a service wants of a socket.
#[derive(Debug)]
pub(crate) enum Command {
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
pub(crate) struct UnderWay {
    bytes: usize,
    sum: Arc<AtomicUsize>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command on its way to the shard of its socket.
#[derive(Debug)]
pub(crate) struct Order {
    pub(super) socket: SocketId,
    pub(super) sender: Handle,
    pub(super) command: Command,
    /// What it holds, while it is on its way.
    pub(super) under_way: Option<UnderWay>,
}

/// An event on its way to the owner of its socket.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) owner: Handle,
    pub(crate) event: SocketEvent,
    /// What it counts until it was handled.
    pub(crate) bytes: usize,
}

impl Shard {
    /// Carries out an order, or hands it to the shard of its socket. Writes are refused when too much is
    /// on the way, and when the socket is of this shard and is not open.
    pub(super) fn order(self: &Rc<Shard>, mut order: Order) -> Result<(), Error> {
        let shard = home(order.socket, self.shards());
        if shard == self.index {
            return self.obey(order);
        }
        if let Command::Write { bytes, .. } | Command::SendTo { bytes, .. } = &order.command {
            let bytes = bytes.len() + EVENT_OVERHEAD_BYTES;
            let sum = &self.sockets.under_way;
            if sum.fetch_add(bytes, Ordering::Relaxed) + bytes > WRITES_UNDER_WAY_BYTES_MAX {
                sum.fetch_sub(bytes, Ordering::Relaxed);
                return Err(Error::overloaded(format!(
                    "{WRITES_UNDER_WAY_BYTES_MAX} bytes are on the way to sockets of other shards"
                )));
            }
            let sum = Arc::clone(sum);
            order.under_way = Some(UnderWay { bytes, sum });
        }
        // Never refused: the sum above bounds what is large, and what is small comes once a message.
        let _ = self.stage(shard, Envelope::Order(Box::new(order)));
        Ok(())
    }

    /// Carries out an order for a socket of this shard.
    pub(crate) fn obey(self: &Rc<Shard>, order: Order) -> Result<(), Error> {
        let Some(socket) = self.sockets.get(order.socket) else {
            return match order.command {
                Command::Start => {
                    let cause = "invalid socket".into();
                    let news = SocketNews::Failed { cause };
                    self.tell_owner(order.sender, order.socket, news, 0);
                    Ok(())
                }
                Command::Close | Command::CloseUnowned | Command::Shutdown | Command::Pause => Ok(()),
                _ => Err(not_open(order.socket)),
            };
        };
        match order.command {
            Command::Start => {
                if socket.closing() == Closing::No {
                    socket.set_owner(order.sender);
                    socket.set_started(true);
                    let (address, port) = match &socket.part {
                        Part::Stream(part) => part.address(),
                        _ => ("start".into(), 0),
                    };
                    socket.tell(self, SocketNews::Opened { address, port });
                }
                Ok(())
            }
            Command::Pause => {
                socket.set_started(false);
                Ok(())
            }
            Command::Close => {
                socket.close(Closing::Gently);
                Ok(())
            }
            Command::CloseUnowned => {
                if socket.owner() == order.sender {
                    socket.close(Closing::Gently);
                }
                Ok(())
            }
            Command::Shutdown => {
                socket.close(Closing::AtOnce);
                Ok(())
            }
            command if socket.closing() != Closing::No => {
                drop(command);
                Err(not_open(order.socket))
            }
            Command::Finish => match &socket.part {
                Part::Stream(part) => {
                    part.finish();
                    socket.changed.wake();
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is no connection", socket.id))),
            },
            Command::Write { bytes, is_low } => match &socket.part {
                Part::Stream(part) => part.write(self, &socket, bytes, is_low),
                Part::Datagram(part) => {
                    part.write(self, bytes);
                    Ok(())
                }
                Part::Listener | Part::Input => {
                    Err(Error::invalid(format!("socket {} takes no bytes", socket.id)))
                }
            },
            Command::SendTo { to, bytes } => match &socket.part {
                Part::Datagram(part) => {
                    part.send_to(self, to, &bytes);
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is not UDP", socket.id))),
            },
            Command::SetPeer { host, port } => match &socket.part {
                Part::Datagram(_) => {
                    datagram::set_peer(self, &socket, host, port);
                    Ok(())
                }
                _ => Err(Error::invalid(format!("socket {} is not UDP", socket.id))),
            },
        }
    }

    /// Hands an event to the owner's shard.
    pub(super) fn tell_owner(
        self: &Rc<Shard>,
        owner: Handle,
        socket: SocketId,
        news: SocketNews,
        bytes: usize,
    ) {
        let delivery = Delivery {
            owner,
            event: SocketEvent { socket, news },
            bytes,
        };
        let shard = shard_of_handle(owner, self.shards());
        if shard == self.index {
            self.deliver_event(delivery);
        } else {
            // Never refused: what an owner has not handled is bounded.
            let _ = self.stage(shard, Envelope::Delivery(delivery));
        }
    }

    /// Takes an event for a service of this shard: hands it over at once, or behind what waits.
    pub(crate) fn deliver_event(self: &Rc<Shard>, delivery: Delivery) {
        if self.handling.get() || !self.run_queue.borrow().is_empty() {
            self.run_queue.borrow_mut().push_back(Due::Event(delivery));
            self.request_turn();
            return;
        }
        self.handling.set(true);
        self.hand_event(delivery);
        self.handling.set(false);
        if !self.run_queue.borrow().is_empty() {
            self.request_turn();
        }
    }

    /// Gives a service its event, and says to the socket that it was handled.
    pub(crate) fn hand_event(self: &Rc<Shard>, delivery: Delivery) {
        let Delivery { owner, event, bytes } = delivery;
        let socket = event.socket;
        match self.service(owner) {
            Some(service) => service.socket_event(event),
            None => {
                // A connection that nobody will start is of no use to its peer either.
                if let SocketNews::Accepted { socket, .. } = event.news {
                    self.close_unowned(socket, owner);
                }
                self.close_unowned(socket, owner);
            }
        }
        if bytes == 0 {
            return;
        }
        let shard = home(socket, self.shards());
        if shard == self.index {
            self.event_handled(socket, bytes);
        } else {
            let handled = Envelope::Handled {
                socket,
                bytes: bytes as u32,
            };
            let _ = self.stage(shard, handled);
        }
    }

    fn close_unowned(self: &Rc<Shard>, socket: SocketId, owner: Handle) {
        // Closing is never refused.
        let _ = self.order(Order {
            socket,
            sender: owner,
            command: Command::CloseUnowned,
            under_way: None,
        });
    }

    /// The owner of a socket of this shard has handled so much of its events.
    pub(crate) fn event_handled(&self, socket: SocketId, bytes: usize) {
        if let Some(socket) = self.sockets.get(socket) {
            socket.handled(bytes);
            self.sockets.remove_unhandled(bytes);
        }
    }

    /// Closes the sockets of a service that has ended, on every shard.
    pub(crate) fn close_sockets_of(&self, owner: Handle) {
        for shard in 0..self.shards() {
            if shard == self.index {
                self.sockets.close_those_of(owner);
            } else {
                let errand = Box::new(move |shard: &Rc<Shard>| shard.sockets.close_those_of(owner));
                let _ = self.stage(shard, Envelope::Errand(errand));
            }
        }
    }
}

fn not_open(socket: SocketId) -> Error {
    Error::invalid(format!("socket {socket} is not open"))
}
