//! Free loopback ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports that are tried. They are below the range from which Linux by default takes the local ports of outgoing
/// connections: a node that dials a dead peer on such a port can connect to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The distance between the first ports of two searches of one process.
const STRIDE: u16 = 37;

static SEARCHES: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which no program listens now. One may a moment later.
///
/// # Errors
/// When every port is taken, or the system refuses sockets.
pub(crate) fn free_loopback() -> io::Result<SocketAddr> {
    // Programs that search at the same time begin at different ports.
    let search = SEARCHES.fetch_add(1, Ordering::Relaxed);
    let begin = (std::process::id() % u32::from(COUNT)) * 31 + u32::from(search) * u32::from(STRIDE);
    for step in 0..u32::from(COUNT) {
        let port = FIRST + ((begin + step) % u32::from(COUNT)) as u16;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return listener.local_addr(),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("every loopback port that was tried is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_program_listens_on_is_not_returned() {
        let mut taken_ports = Vec::new();
        for _ in 0..20 {
            let address = free_loopback().unwrap();
            assert!((FIRST..FIRST + COUNT).contains(&address.port()));
            if let Ok(listener) = TcpListener::bind(address) {
                assert!(
                    taken_ports
                        .iter()
                        .all(|taken: &TcpListener| taken.local_addr().unwrap() != address)
                );
                taken_ports.push(listener);
            }
        }
        assert!(!taken_ports.is_empty());
    }
}
