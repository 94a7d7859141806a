//! A way between two nodes on which connections break when the test says so.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// At both ends. What was on its way may have arrived, or not.
    Both,
    /// Only the dialler notices; for the acceptor the connection seems to be there still.
    HalfOpen,
}

struct Pair {
    dialler: TcpStream,
    acceptor: TcpStream,
}

/// Passes on what comes, until a cut.
pub(crate) struct Cutter {
    address: SocketAddr,
    target: Arc<Mutex<String>>,
    pairs: Arc<Mutex<Vec<Pair>>>,
    /// Connections that only the acceptor still believes in.
    kept: Mutex<Vec<TcpStream>>,
}

impl Cutter {
    /// Listens on a free port, for connections to `target`.
    pub(crate) fn to(target: &str) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let target = Arc::new(Mutex::new(target.to_owned()));
        let pairs: Arc<Mutex<Vec<Pair>>> = Arc::default();
        let (to, made) = (Arc::clone(&target), Arc::downgrade(&pairs));
        // It ends with the process; nobody connects once the test is over.
        thread::spawn(move || {
            for dialler in listener.incoming().flatten() {
                let Some(pairs) = made.upgrade() else { return };
                let to = to.lock().expect("no panic").clone();
                let Ok(acceptor) = TcpStream::connect(to) else {
                    continue;
                };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                pass_on(clone(&dialler), clone(&acceptor));
                pass_on(clone(&acceptor), clone(&dialler));
                pairs.lock().expect("no panic").push(Pair { dialler, acceptor });
            }
        });
        Cutter {
            address,
            target,
            pairs,
            kept: Mutex::default(),
        }
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Leads to another place from the next connection on.
    pub(crate) fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().expect("no panic"));
    }

    /// Breaks every connection there is; how many they were.
    pub(crate) fn cut(&self, how: Cut) -> usize {
        let pairs = std::mem::take(&mut *self.pairs.lock().expect("no panic"));
        for pair in &pairs {
            // One that is over already cannot be shut down.
            let _ = pair.dialler.shutdown(Shutdown::Both);
            if how == Cut::Both {
                let _ = pair.acceptor.shutdown(Shutdown::Both);
            }
        }
        let count = pairs.len();
        if how == Cut::HalfOpen {
            let mut kept = self.kept.lock().expect("no panic");
            kept.extend(pairs.into_iter().map(|pair| pair.acceptor));
        }
        count
    }
}

/// Copies one direction until it ends. A break of the source is not passed on: the test says what breaks.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
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
