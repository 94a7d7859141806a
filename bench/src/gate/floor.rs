//! The floor: a server on a bare ring that sends back what it receives, without packets, clients or services.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use crate::ring::sockets::{Event, Sockets};

/// How long it sleeps without work.
const WAIT: Duration = Duration::from_secs(1);

/// Serves until the process is killed.
pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    let mut sockets = Sockets::new()?;
    sockets.listen(listener)?;
    loop {
        sockets.turn(WAIT, |outbox, event| {
            if let Event::Received(index, bytes) = event {
                outbox.queue(index).extend_from_slice(bytes);
            }
        })?;
    }
}
