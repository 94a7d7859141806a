//! Connections of the admin server, and their bounds.
//!
//! A connection carries one request: there are few, and none stays open.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::AdminParts;
use super::routes::{Routes, respond};
use crate::control::Outlet;
use crate::log::Level;

/// Most connections at a time; further ones are closed at once.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Most bytes of the head of a request.
const ADMIN_HEAD_BYTES_MAX: usize = 16 << 10;

/// Most header lines of a request.
const ADMIN_HEADERS_MAX: usize = 64;

/// How long a client may take for the head of its request.
const ADMIN_HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a connection lives at most, beside the time of a profile.
const ADMIN_TIME_MAX: Duration = Duration::from_secs(15);

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When a connection ends; a request that takes long moves it.
#[derive(Clone)]
pub(super) struct Deadline(Rc<Cell<Instant>>);

impl Deadline {
    /// Gives the connection more time.
    pub(super) fn extend(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }

    async fn passed(&self) {
        while Instant::now() < self.0.get() {
            sleep_until(self.0.get()).await;
        }
    }
}

/// Serves until the node has stopped.
pub(super) async fn serve(
    outlet: Outlet,
    mut stop: watch::Receiver<bool>,
    parts: AdminParts,
    listener: StdListener,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return outlet.log_node(Level::Error, format!("the admin server does not run: {error}"));
        }
    };
    let address = parts.admin.address();
    outlet.log_node(Level::Info, format!("Admin on http://{address}"));
    let routes = Rc::new(Routes::new(parts));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended ones make room.
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < ADMIN_CONNECTIONS_MAX => {
                connections.spawn_local(serve_connection(stream, Rc::clone(&routes)));
            }
            // Dropping it closes it.
            Ok(_) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one request. What goes wrong with a connection is its client's to see.
async fn serve_connection(stream: TcpStream, routes: Rc<Routes>) {
    let deadline = Deadline(Rc::new(Cell::new(Instant::now() + ADMIN_TIME_MAX)));
    let serving = deadline.clone();
    let service = service_fn(move |request| {
        let (routes, deadline) = (Rc::clone(&routes), serving.clone());
        async move { Ok::<_, Infallible>(respond(&routes, &request, &deadline).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(ADMIN_HEAD_BYTES_MAX)
        .max_headers(ADMIN_HEADERS_MAX)
        .header_read_timeout(ADMIN_HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = deadline.passed() => {}
    }
}
