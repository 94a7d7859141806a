//! Free loopback ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports that are tried. Below those from which Linux, as it comes, takes the local ports of outgoing
/// connections: a node that keeps dialling a dead peer on such a port can end up connected to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How far apart two searches of one process begin.
const STRIDE: u16 = 37;

static SEARCHES: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which nobody listens now. Somebody may the moment after.
///
/// # Errors
/// When every port is taken, or sockets cannot be had.
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
    fn a_port_that_somebody_listens_on_is_not_given() {
        let mut held = Vec::new();
        for _ in 0..20 {
            let address = free_loopback().unwrap();
            assert!((FIRST..FIRST + COUNT).contains(&address.port()));
            if let Ok(listener) = TcpListener::bind(address) {
                assert!(
                    held.iter()
                        .all(|taken: &TcpListener| taken.local_addr().unwrap() != address)
                );
                held.push(listener);
            }
        }
        assert!(!held.is_empty());
    }
}
