//! What every TCP connection of a shard gets, whichever runtime carries it: its options, and an end without a reset.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Silence after which the kernel asks the other host whether the connection still is; well below the
/// 15 minutes after which load balancers forget one.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Unanswered questions after which the connection is broken.
const KEEPALIVE_RETRIES: u32 = 4;

/// How long the other host may acknowledge nothing of what was sent, or take nothing of it, before the connection is
/// broken: what watches the peers finds them sooner, but not all are watched.
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads with which what a peer still sends is thrown away.
const DISCARDED_READS_MAX: usize = 4;

/// Bytes of each.
const DISCARDED_READ_BYTES: usize = 64 << 10;

/// Throws away what has come and was not read, as far as it is no flood.
pub(super) fn discard_unread(socket: &impl AsFd) {
    let mut room = [MaybeUninit::uninit(); DISCARDED_READ_BYTES];
    for _ in 0..DISCARDED_READS_MAX {
        let read = SockRef::from(socket).recv_with_flags(&mut room, libc::MSG_DONTWAIT);
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}

/// Has the kernel notice that the other host is gone: without it one that vanished would keep its connection, and its
/// place, for ever.
pub(super) fn watch_host(socket: &impl AsFd) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    // A socket that has died meanwhile reports its own error.
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX));
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn the_kernel_gives_up_a_host_that_acknowledges_nothing_or_is_silent() {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        watch_host(&socket);
        let socket = SockRef::from(&socket);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_TIME_MAX));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
    }
}
