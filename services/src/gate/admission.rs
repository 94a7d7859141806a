//! Who may be a client: the numbers that all shards of a gate share. Touched when clients come and go.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skyring::Report;

use super::settings::GateSettings;

/// Counters of a gate, since its start. Each is one atomic number that the shards share.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    /// There were as many clients as there may be.
    pub(super) refused: AtomicU64,
    /// There were as many of the same address as there may be.
    pub(super) refused_by_address: AtomicU64,
    /// They sent what the protocol does not allow, or too much at once.
    pub(super) malformed: AtomicU64,
    /// They spoke TLS, which the gate did not.
    pub(super) tls_unexpected: AtomicU64,
    /// They did not send their first packet in time, or nothing for too long.
    pub(super) timed_out: AtomicU64,
    /// They did not read, and were closed.
    pub(super) slow: AtomicU64,
    /// Packets for clients that did not read.
    pub(super) dropped: AtomicU64,
    /// Times at which a client had sent its share of a second.
    pub(super) throttled: AtomicU64,
}

impl Counters {
    /// Tells of them in the status of the node.
    pub(super) fn report(&self, report: &mut Report) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut add = |name, help, counter| report.counter(name, help, count(counter));
        add("gate_accepted", "Clients that were accepted.", &self.accepted);
        add(
            "gate_refused",
            "Clients refused because there were as many as there may be.",
            &self.refused,
        );
        add(
            "gate_refused_by_address",
            "Clients refused because there were as many of their address as there may be.",
            &self.refused_by_address,
        );
        add(
            "gate_malformed",
            "Clients closed for what the protocol does not allow, or for too long a packet.",
            &self.malformed,
        );
        add(
            "gate_tls_unexpected",
            "Clients closed because they spoke TLS, and the gate does not.",
            &self.tls_unexpected,
        );
        add(
            "gate_timed_out",
            "Clients closed because they sent nothing for too long.",
            &self.timed_out,
        );
        add(
            "gate_slow",
            "Clients closed because they did not read.",
            &self.slow,
        );
        add(
            "gate_dropped",
            "Packets dropped because their client did not read.",
            &self.dropped,
        );
        add(
            "gate_throttled",
            "Times at which a client had sent its share of a second, and was read later.",
            &self.throttled,
        );
    }

    /// Their names and values.
    pub(super) fn list(&self) -> [(&'static str, u64); 9] {
        [
            ("accepted", &self.accepted),
            ("refused", &self.refused),
            ("refused_by_address", &self.refused_by_address),
            ("malformed", &self.malformed),
            ("tls_unexpected", &self.tls_unexpected),
            ("timed_out", &self.timed_out),
            ("slow", &self.slow),
            ("dropped", &self.dropped),
            ("throttled", &self.throttled),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The clients of a gate, by address.
#[derive(Debug, Default)]
struct Clients {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The admission of clients.
#[derive(Debug, Default)]
pub(super) struct Admission {
    clients: Mutex<Clients>,
    pub(super) counters: Counters,
}

impl Admission {
    /// Admits a client, or says that it may not be one. Its place is free again when the result is dropped.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, settings: &GateSettings) -> Option<Place> {
        let address = network(address);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.total >= settings.clients_max {
            count(&self.counters.refused);
            return None;
        }
        let same = clients.by_address.entry(address).or_insert(0);
        if *same >= settings.clients_per_address_max {
            count(&self.counters.refused_by_address);
            return None;
        }
        *same += 1;
        clients.total += 1;
        count(&self.counters.accepted);
        Some(Place {
            admission: Arc::clone(self),
            address,
        })
    }

    /// Clients now.
    pub(super) fn clients(&self) -> usize {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

/// What counts as one address: of IPv6 a network of 64 bits, which is what one user has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

/// The place of a client.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self
            .admission
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        clients.total -= 1;
        if let Some(same) = clients.by_address.get_mut(&self.address) {
            *same -= 1;
            if *same == 0 {
                clients.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn clients_are_admitted_up_to_the_limits_and_leave_nothing_behind() {
        let mut settings = GateSettings::new("", 0, skyring::Handle(1));
        (settings.clients_max, settings.clients_per_address_max) = (3, 2);
        let admission = Arc::<Admission>::default();
        let [one, two] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
        let mut places: Vec<Place> = (0..2).filter_map(|_| admission.admit(one, &settings)).collect();
        assert!(admission.admit(one, &settings).is_none());
        places.extend(admission.admit(two, &settings));
        assert!(admission.admit(two, &settings).is_none());
        let counters = &admission.counters;
        let counts = [
            &counters.accepted,
            &counters.refused,
            &counters.refused_by_address,
        ];
        assert_eq!(counts.map(|counter| counter.load(Ordering::Relaxed)), [3, 1, 1]);
        places.clear();
        assert_eq!(admission.clients(), 0);
        assert!(admission.clients.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn an_address_of_version_6_stands_for_its_network() {
        let parse = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(parse("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(
            (parse("::ffff:10.0.0.1"), parse("10.0.0.1")),
            ("10.0.0.1".into(), "10.0.0.1".into())
        );
    }
}
