//! The client's side that all floors share: its thread, and the value that it sends.

use std::io;
use std::thread;

use super::measurement::{PeerError, Settings};
use crate::cpu::pin_this_thread;

/// Runs a client on a thread of its own, pinned to the client's processor.
pub(super) fn on_client_thread<T: Send + 'static>(
    settings: &Settings,
    client: impl FnOnce(&Settings) -> Result<T, PeerError> + Send + 'static,
) -> Result<T, PeerError> {
    let settings = settings.clone();
    thread::Builder::new()
        .name("floor-client".to_owned())
        .spawn(move || {
            pin_this_thread(settings.client_cpu)?;
            client(&settings)
        })?
        .join()
        // Its panic has been printed.
        .unwrap_or_else(|_| Err(io::Error::other("the client panicked").into()))
}

/// The value that is sent: of the wanted size, and not all alike.
pub(super) fn value(settings: &Settings) -> Vec<u8> {
    (0..settings.size)
        .map(|place| b'a' + (place % 26) as u8)
        .collect()
}
