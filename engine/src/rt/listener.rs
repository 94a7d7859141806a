//! Accepts connections on a thread of its own and hands their sockets over.
//!
//! A thread because the executor's accept completes on its latency ring (see the module [`rt`](super)),
//! and because a flood of connections then costs the shards nothing: those over the limit are closed
//! here. A socket that cannot be handed over is closed by being dropped.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Type};

#[cfg(feature = "testing")]
use super::Runtime;
#[cfg(feature = "testing")]
use super::manual;
use super::socket::Socket;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Pause after an accept that failed for want of descriptors or memory: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an accept brought.
pub(crate) enum Incoming {
    /// A connection and where it comes from.
    Connection(Socket, SocketAddr),
    /// The system could not give one; the thread pauses and goes on.
    Failed(io::Error),
}

/// A listening socket; dropping it closes it.
pub(crate) enum Listener {
    /// Of the kernel.
    Kernel(KernelListener),
    /// Of a test.
    #[cfg(feature = "testing")]
    Manual(manual::Listener),
}

impl Listener {
    /// Listens on `address` (port 0: any free one) and calls `take` on a thread of its own for each
    /// connection. A port that somebody listens on already is an error.
    pub(crate) fn open(
        address: SocketAddr,
        take: impl Fn(Incoming) + Send + 'static,
    ) -> io::Result<Listener> {
        #[cfg(feature = "testing")]
        if Runtime::current() == Runtime::Manual {
            return manual::Listener::open(address, take).map(Listener::Manual);
        }
        KernelListener::open(address, take).map(Listener::Kernel)
    }

    /// The address in force; its port is never 0.
    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Listener::Kernel(listener) => listener.local,
            #[cfg(feature = "testing")]
            Listener::Manual(listener) => listener.local(),
        }
    }
}

/// A listening socket and its thread; dropping it closes both.
pub(crate) struct KernelListener {
    local: SocketAddr,
    closing: Arc<AtomicBool>,
    socket: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl KernelListener {
    fn open(address: SocketAddr, take: impl Fn(Incoming) + Send + 'static) -> io::Result<KernelListener> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Without it a restarted node could not listen while old connections linger. Not SO_REUSEPORT:
        // two nodes on one port would share its connections in silence.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket: Arc<TcpListener> = Arc::new(socket.into());
        let local = socket.local_addr()?;
        let closing = Arc::new(AtomicBool::new(false));
        let thread = {
            let (socket, closing) = (Arc::clone(&socket), Arc::clone(&closing));
            std::thread::Builder::new()
                .name(format!("accept-{}", local.port()))
                .spawn(move || {
                    while !closing.load(Ordering::Acquire) {
                        match socket.accept() {
                            _ if closing.load(Ordering::Acquire) => break,
                            Ok((connection, peer)) => {
                                let descriptor: OwnedFd = connection.into();
                                take(Incoming::Connection(descriptor.into(), peer));
                            }
                            // The peer gave up before it was its turn, or a signal came: not our trouble.
                            Err(error)
                                if matches!(
                                    error.kind(),
                                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                                ) => {}
                            Err(error) => {
                                take(Incoming::Failed(error));
                                std::thread::sleep(ACCEPT_PAUSE);
                            }
                        }
                    }
                })?
        };
        Ok(KernelListener {
            local,
            closing,
            socket,
            thread: Some(thread),
        })
    }
}

impl Drop for KernelListener {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // Shutting a listening socket down ends the accept that the thread waits in.
        let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
