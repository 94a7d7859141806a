//! Clients on tokio: one thread, and a task for each call in flight.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::client;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::meter::Meter;
use super::peer::Peer;
use crate::interrupt::Interrupt;

/// How long the calls may take beyond the time that is measured.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(10);

/// A runtime of one thread, this one.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Starts the server of a peer, and measures calls to it. `connect` returns a function that makes one call and
/// returns whether the reply is the value that was sent.
pub(super) fn measure<Connecting, Call, Calling>(
    peer: Peer,
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
    connect: impl FnOnce(SocketAddr, Settings) -> Connecting + Send + 'static,
) -> Result<PeerResult, PeerError>
where
    Connecting: Future<Output = io::Result<Call>>,
    Call: FnMut() -> Calling + Clone + Send + 'static,
    Calling: Future<Output = bool> + Send + 'static,
{
    client::measure(
        peer,
        settings,
        launcher,
        interrupt,
        move |address, settings, meter| {
            runtime()?.block_on(async {
                let call = connect(address, settings.clone()).await?;
                let meter = Arc::new(Mutex::new(meter));
                let is_over = Arc::new(Notify::new());
                for _ in 0..settings.in_flight {
                    tokio::spawn(call_repeatedly(
                        call.clone(),
                        Arc::clone(&meter),
                        Arc::clone(&is_over),
                    ));
                }
                let time_max = settings.warm_up + settings.duration + EXTRA_TIME_MAX;
                if tokio::time::timeout(time_max, is_over.notified()).await.is_err() {
                    return Err(PeerError::Client(format!(
                        "{} did not answer all calls",
                        peer.name()
                    )));
                }
                meter.lock().unwrap_or_else(PoisonError::into_inner).finish()
            })
        },
    )
}

async fn call_repeatedly<Calling>(
    mut call: impl FnMut() -> Calling,
    meter: Arc<Mutex<Meter>>,
    is_over: Arc<Notify>,
) where
    Calling: Future<Output = bool>,
{
    let mut begun = Instant::now();
    loop {
        let is_same = call().await;
        let ended = Instant::now();
        // All tasks are on one thread, so no task ever waits for this lock.
        let outcome = meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answered(begun, ended, is_same);
        if outcome.is_break() {
            is_over.notify_one();
            return;
        }
        begun = ended;
        if !is_same {
            // Calls that fail at once would starve the other tasks.
            tokio::task::yield_now().await;
        }
    }
}
