//! A relay between two nodes whose connections the test breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// At both ends. Bytes in flight may have arrived, or not.
    Both,
    /// Only the dialler notices; for the acceptor the connection still seems open.
    HalfOpen,
}

struct Pair {
    dialler: TcpStream,
    acceptor: TcpStream,
}

/// Forwards bytes until a cut.
pub(crate) struct Cutter {
    address: SocketAddr,
    target: Arc<Mutex<String>>,
    pairs: Arc<Mutex<Vec<Pair>>>,
    /// Half-open connections, which only the acceptor still has.
    half_open: Mutex<Vec<TcpStream>>,
}

impl Cutter {
    /// Listens on a free port, for connections to `target`.
    pub(crate) fn to(target: &str) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let target = Arc::new(Mutex::new(target.to_owned()));
        let pairs: Arc<Mutex<Vec<Pair>>> = Arc::default();
        let (to, made) = (Arc::clone(&target), Arc::downgrade(&pairs));
        // The thread ends with the process; there are no connections after the test.
        thread::spawn(move || {
            for dialler in listener.incoming().flatten() {
                let Some(pairs) = made.upgrade() else { return };
                let to = to.lock().expect("no panic").clone();
                let Ok(acceptor) = TcpStream::connect(to) else {
                    continue;
                };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                forward(clone(&dialler), clone(&acceptor));
                forward(clone(&acceptor), clone(&dialler));
                pairs.lock().expect("no panic").push(Pair { dialler, acceptor });
            }
        });
        Cutter {
            address,
            target,
            pairs,
            half_open: Mutex::default(),
        }
    }

    /// The address to connect to.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Changes the target of the next connections.
    pub(crate) fn set_target(&self, target: &str) {
        target.clone_into(&mut self.target.lock().expect("no panic"));
    }

    /// Breaks every connection; returns their number.
    pub(crate) fn cut(&self, how: Cut) -> usize {
        let pairs = std::mem::take(&mut *self.pairs.lock().expect("no panic"));
        for pair in &pairs {
            // A connection that has ended already cannot be shut down.
            let _ = pair.dialler.shutdown(Shutdown::Both);
            if how == Cut::Both {
                let _ = pair.acceptor.shutdown(Shutdown::Both);
            }
        }
        let count = pairs.len();
        if how == Cut::HalfOpen {
            let mut half_open = self.half_open.lock().expect("no panic");
            half_open.extend(pairs.into_iter().map(|pair| pair.acceptor));
        }
        count
    }
}

/// Copies one direction until it ends. A break of the source is not forwarded: the test decides which connections
/// break.
fn forward(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if to.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            }
        }
    });
}
