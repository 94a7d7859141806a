//! Listeners of tests: they accept what the test gives them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::executor;
use super::network::{Remote, Socket};
use super::place::PlaceId;
use crate::rt::listener::Incoming;

/// The first port that an address without one gets.
const FREE_PORT: u16 = 49_152;

/// What listens on an address.
struct Open {
    place: PlaceId,
    take: Rc<dyn Fn(Incoming)>,
}

thread_local! {
    static OPEN: RefCell<BTreeMap<SocketAddr, Open>> = const { RefCell::new(BTreeMap::new()) };
}

/// A listening socket; dropping it closes it.
pub(crate) struct Listener(SocketAddr);

impl Listener {
    pub(in crate::rt) fn open(
        mut address: SocketAddr,
        take: impl Fn(Incoming) + 'static,
    ) -> io::Result<Listener> {
        let place = executor::current();
        OPEN.with_borrow_mut(|open| {
            if address.port() == 0 {
                let free = (FREE_PORT..=u16::MAX).find(|port| {
                    address.set_port(*port);
                    !open.contains_key(&address)
                });
                free.ok_or(io::ErrorKind::AddrInUse)?;
            }
            if open.contains_key(&address) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let take = Rc::new(take);
            open.insert(address, Open { place, take });
            Ok(Listener(address))
        })
    }

    pub(in crate::rt) fn local(&self) -> SocketAddr {
        self.0
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The thread may be ending.
        let closed = OPEN.try_with(|open| open.borrow_mut().remove(&self.0));
        drop(closed);
    }
}

/// Gives the listener of this address a connection from `peer`; the test gets the other end. `None`: nobody listens.
pub(crate) fn incoming(address: SocketAddr, peer: SocketAddr) -> Option<Remote> {
    let (place, take) = OPEN.with_borrow(|open| {
        let open = open.get(&address)?;
        Some((open.place, Rc::clone(&open.take)))
    })?;
    executor::within(place, || {
        let (socket, remote) = Socket::accepted();
        take(Incoming::Connection(
            crate::rt::socket::Socket::Manual(socket),
            peer,
        ));
        Some(remote)
    })
}
