//! Clients and servers on tokio: one thread, and at the client a task for each call in flight.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::client_thread::on_client_thread;
use super::launcher::Launcher;
use super::measurement::{Measured, PeerError, Settings};
use super::meter::Meter;
use super::peer::Peer;
use super::server_process::Server;
use crate::interrupt::Interrupt;

/// How long the calls may take beyond the time that is measured.
const EXTRA_TIME_MAX: Duration = Duration::from_secs(10);

/// A runtime of one thread, this one.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Starts the server of a peer, and measures calls to it. `connect` gives what makes one call and says
/// whether the value came back as it was.
pub(super) fn measure<Connecting, Call, Calling>(
    peer: Peer,
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
    connect: impl FnOnce(SocketAddr, Settings) -> Connecting + Send + 'static,
) -> Result<Measured, PeerError>
where
    Connecting: Future<Output = io::Result<Call>>,
    Call: FnMut() -> Calling + Clone + Send + 'static,
    Calling: Future<Output = bool> + Send + 'static,
{
    let server = Server::start(launcher, peer, settings, interrupt)?;
    let (address, process, interrupt) = (server.address(), server.process(), interrupt.clone());
    on_client_thread(settings, move |settings| {
        runtime()?.block_on(async {
            let call = connect(address, settings.clone()).await?;
            let meter = Arc::new(Mutex::new(Meter::start(peer, settings, process, &interrupt)));
            let is_enough = Arc::new(Notify::new());
            for _ in 0..settings.in_flight {
                tokio::spawn(call_on_and_on(
                    call.clone(),
                    Arc::clone(&meter),
                    Arc::clone(&is_enough),
                ));
            }
            let time_max = settings.warm_up + settings.duration + EXTRA_TIME_MAX;
            if tokio::time::timeout(time_max, is_enough.notified())
                .await
                .is_err()
            {
                return Err(PeerError::Client(format!(
                    "{} did not answer all calls",
                    peer.name()
                )));
            }
            meter.lock().unwrap_or_else(PoisonError::into_inner).finish()
        })
    })
}

async fn call_on_and_on<Calling>(
    mut call: impl FnMut() -> Calling,
    meter: Arc<Mutex<Meter>>,
    is_enough: Arc<Notify>,
) where
    Calling: Future<Output = bool>,
{
    let mut begun = Instant::now();
    loop {
        let is_same = call().await;
        let ended = Instant::now();
        // One thread has all tasks: nobody ever waits for this lock.
        let outcome = meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answered(begun, ended, is_same);
        if outcome.is_break() {
            is_enough.notify_one();
            return;
        }
        begun = ended;
        if !is_same {
            // Calls that fail at once would keep the others from their turn.
            tokio::task::yield_now().await;
        }
    }
}
