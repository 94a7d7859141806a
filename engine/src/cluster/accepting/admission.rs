//! Admission to one listener: the limits of its connections, of the connections from one source, and of the rate at
//! which a source opens them.
//!
//! A source is an IPv4 address, or the first half of an IPv6 address, since one machine may use every address with
//! that half. A refused connection costs one look-up on the listener's thread.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::cluster::rate_limit::RateLimit;
use crate::error::Text;

/// Sources without a connection whose rate is still recorded.
const SOURCES_KEPT_MAX: usize = 16_384;

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    pub(crate) clients_max: usize,
    pub(crate) clients_per_source_max: usize,
    pub(crate) accepts_per_second_max: u32,
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
}

#[derive(Debug)]
struct Source {
    clients: usize,
    accepts: RateLimit,
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
        let source = count.sources.entry(address).or_insert_with(|| Source {
            clients: 0,
            accepts: RateLimit::new(limits.accepts_per_second_max, limits.accepts_per_second_max),
        });
        if !source.accepts.try_acquire(now) {
            return Err(Refusal::TooFast);
        }
        if is_full {
            return Err(Refusal::Full);
        }
        if source.clients >= limits.clients_per_source_max {
            return Err(Refusal::SourceFull);
        }
        source.clients += 1;
        count.clients += 1;
        Ok(Arc::new(Admission {
            clients: Arc::clone(self),
            source: address,
            offer: offer.clone(),
        }))
    }
}

impl Count {
    /// Removes sources without a connection when the table is too large.
    fn remove_idle(&mut self, now: Millis) {
        if self.sources.len() <= self.clients + SOURCES_KEPT_MAX {
            return;
        }
        self.sources
            .retain(|_, source| source.clients > 0 || !source.accepts.is_fully_available(now));
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
