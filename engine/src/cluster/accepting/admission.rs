//! Admission to one listener: the limits of its connections, of the connections from one source, and of the rate at
//! which a source opens them.
//!
//! A source is an IPv4 address, or the first half of an IPv6 address, since one machine may use every address with
//! that half. A refused connection costs one look-up on the listener's thread.
//!
//! Where peers must prove who they are, a handshake costs the node more than whoever begins it and does not finish it.
//! So each connection takes a permit of its source, which the proof gives back: a source whose handshakes are finished
//! feels nothing, and one that finishes none is soon refused before anything is computed for it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::cluster::rate_limit::RateLimit;
use crate::error::Text;

/// Sources without a connection whose rate is still recorded.
const SOURCES_KEPT_MAX: usize = 16_384;

/// Connections of one source whose peers have not proved who they are, those that have ended without a proof included.
pub const UNPROVED_PER_SOURCE_MAX: u32 = 256;

/// Of those, how many are forgotten each second.
pub const UNPROVED_PER_SECOND_MAX: u32 = 4;

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    pub(crate) clients_max: usize,
    pub(crate) clients_per_source_max: usize,
    pub(crate) accepts_per_second_max: u32,
    /// Peers must prove who they are.
    pub(crate) requires_proof: bool,
}

/// What a listener tells its peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offer {
    /// How many channels a peer may have; `None`: as many as it wants.
    pub(crate) channels: Option<u32>,
    /// The name in the map under which it was opened; `None`: that of the node.
    pub(crate) name: Option<Text>,
}

/// Why a listener refuses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The listener has as many clients as it may.
    Full,
    /// Its source has as many clients as it may.
    SourceFull,
    /// Its source opens connections too fast.
    TooFast,
    /// Too many handshakes of its source were not finished.
    Unproved,
}

#[derive(Debug)]
struct Source {
    clients: usize,
    accepts: RateLimit,
    unproved: RateLimit,
}

impl Source {
    fn new(limits: ClientLimits) -> Source {
        Source {
            clients: 0,
            accepts: RateLimit::new(limits.accepts_per_second_max, limits.accepts_per_second_max),
            unproved: RateLimit::new(UNPROVED_PER_SECOND_MAX, UNPROVED_PER_SOURCE_MAX),
        }
    }

    /// Whether nothing of it needs to be remembered.
    fn is_idle(&self, now: Millis) -> bool {
        self.clients == 0 && self.accepts.is_fully_available(now) && self.unproved.is_fully_available(now)
    }
}

#[derive(Debug, Default)]
struct Count {
    clients: usize,
    sources: FxHashMap<IpAddr, Source>,
}

/// The clients of one listener.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: ClientLimits,
    count: Mutex<Count>,
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Arc<Clients> {
        Arc::new(Clients {
            limits,
            count: Mutex::default(),
        })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, or returns why not.
    pub(crate) fn admit(
        self: &Arc<Clients>,
        now: Millis,
        peer: SocketAddr,
        offer: &Offer,
    ) -> Result<Arc<Admission>, Refusal> {
        let limits = self.limits;
        let address = source(peer.ip());
        let mut count = self.count();
        let is_full = count.clients >= limits.clients_max;
        count.remove_idle(now);
        let source = count
            .sources
            .entry(address)
            .or_insert_with(|| Source::new(limits));
        if !source.accepts.try_acquire(now) {
            return Err(Refusal::TooFast);
        }
        if is_full {
            return Err(Refusal::Full);
        }
        if source.clients >= limits.clients_per_source_max {
            return Err(Refusal::SourceFull);
        }
        if limits.requires_proof && !source.unproved.try_acquire(now) {
            return Err(Refusal::Unproved);
        }
        source.clients += 1;
        count.clients += 1;
        Ok(Arc::new(Admission {
            clients: Arc::clone(self),
            source: address,
            offer: offer.clone(),
            has_permit: AtomicBool::new(limits.requires_proof),
        }))
    }
}

impl Count {
    /// Removes sources without a connection when the table is too large.
    fn remove_idle(&mut self, now: Millis) {
        if self.sources.len() <= self.clients + SOURCES_KEPT_MAX {
            return;
        }
        self.sources.retain(|_, source| !source.is_idle(now));
        if self.sources.len() > self.clients + SOURCES_KEPT_MAX {
            self.sources.retain(|_, source| source.clients > 0);
        }
    }
}

/// The source of an address.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let half = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(half))
        }
        address => address,
    }
}

/// The admission of one client of a listener; dropping it makes space for another.
#[derive(Debug)]
pub(crate) struct Admission {
    clients: Arc<Clients>,
    source: IpAddr,
    pub(crate) offer: Offer,
    /// It has a permit to leave a handshake unfinished.
    has_permit: AtomicBool,
}

impl Admission {
    /// Gives back the permit to leave a handshake unfinished: the peer has proved who it is, or need not, or the node refuses
    /// the connection for a reason of its own.
    pub(crate) fn return_permit(&self) {
        if self.has_permit.swap(false, Ordering::Relaxed)
            && let Some(source) = self.clients.count().sources.get_mut(&self.source)
        {
            source.unproved.refund();
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut count = self.clients.count();
        count.clients = count.clients.saturating_sub(1);
        if let Some(source) = count.sources.get_mut(&self.source) {
            source.clients = source.clients.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(
        clients_max: usize,
        clients_per_source_max: usize,
        accepts_per_second_max: u32,
    ) -> ClientLimits {
        ClientLimits {
            clients_max,
            clients_per_source_max,
            accepts_per_second_max,
            requires_proof: false,
        }
    }

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().expect("an address"), 1)
    }

    fn admit(clients: &Arc<Clients>, now: Millis, address: &str) -> Result<Arc<Admission>, Refusal> {
        clients.admit(now, peer(address), &Offer::default())
    }

    #[test]
    fn a_source_has_its_share_and_leaves_the_rest_to_others() {
        let clients = Clients::new(limits(5, 3, 1_000));
        let mut first: Vec<_> = (0..3)
            .map(|_| admit(&clients, 0, "10.0.0.1").expect("there is space"))
            .collect();
        assert_eq!(admit(&clients, 0, "10.0.0.1").unwrap_err(), Refusal::SourceFull);
        let others: Vec<_> = (2..4)
            .map(|last| admit(&clients, 0, &format!("10.0.0.{last}")).expect("there is space"))
            .collect();
        assert_eq!(admit(&clients, 0, "10.0.0.9").unwrap_err(), Refusal::Full);
        first.pop();
        let back = admit(&clients, 0, "10.0.0.1").expect("there is space again");
        drop((first, others, back));
        assert_eq!(clients.count().clients, 0);
    }

    #[test]
    fn a_source_that_is_too_fast_is_turned_away_and_others_are_not() {
        let clients = Clients::new(limits(100_000, 100_000, 100));
        let admitted = (0..1_000)
            .filter(|_| admit(&clients, 5, "10.0.0.1").is_ok())
            .count();
        assert_eq!(admitted, 100);
        assert_eq!(admit(&clients, 5, "10.0.0.1").unwrap_err(), Refusal::TooFast);
        assert!(admit(&clients, 5, "10.0.0.2").is_ok());
        let admitted = (0..1_000)
            .filter(|_| admit(&clients, 505, "10.0.0.1").is_ok())
            .count();
        assert_eq!(admitted, 50, "half a second later");
    }

    #[test]
    fn a_source_that_proves_nothing_is_refused_and_one_that_does_never() {
        let clients = Clients::new(ClientLimits {
            requires_proof: true,
            ..limits(1 << 20, 1 << 20, 1 << 20)
        });
        let flood = |now, count| {
            let admitted = (0..count).filter(|_| admit(&clients, now, "10.0.0.1").is_ok());
            admitted.count()
        };
        let most = UNPROVED_PER_SOURCE_MAX as usize;
        assert_eq!(flood(0, 10_000), most);
        assert_eq!(
            admit(&clients, 0, "10.0.0.1").unwrap_err(),
            Refusal::Unproved,
            "although all have ended"
        );
        assert_eq!(flood(10_000, 10_000), 10 * UNPROVED_PER_SECOND_MAX as usize);
        // Each proof gives one back, and only once.
        for number in 0..10 * most {
            let peer = admit(&clients, 0, "10.0.0.2").unwrap_or_else(|why| panic!("{number}: {why:?}"));
            peer.return_permit();
            peer.return_permit();
        }
        let open: Vec<_> = (0..most)
            .map(|_| admit(&clients, 0, "10.0.0.2").expect("there is space"))
            .collect();
        assert_eq!(admit(&clients, 0, "10.0.0.2").unwrap_err(), Refusal::Unproved);
        open[7].return_permit();
        assert!(admit(&clients, 0, "10.0.0.2").is_ok());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source_and_a_mapped_one_is_ipv4() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            let source = |text| source(peer(text).ip());
            assert_eq!(source(one) == source(other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn the_table_of_sources_stays_small() {
        let clients = Clients::new(limits(1, 1, 1));
        let _admission = admit(&clients, 0, "10.0.0.1").expect("there is space");
        for number in 0..3 * SOURCES_KEPT_MAX as u32 {
            let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
            let refused = clients.admit(u64::from(number), SocketAddr::new(address, 1), &Offer::default());
            assert_eq!(refused.unwrap_err(), Refusal::Full);
        }
        let count = clients.count();
        assert!(
            count.sources.len() <= SOURCES_KEPT_MAX + 2,
            "{}",
            count.sources.len()
        );
        assert!(count.sources.contains_key(&IpAddr::from([10, 0, 0, 1])));
    }
}
