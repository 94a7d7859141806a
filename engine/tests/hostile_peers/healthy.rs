//! Peers that behave correctly, and their latency meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::peer::{Peer, pack};
use crate::server::{SHARDS, Server};

/// No call may take longer.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// Time between two calls of one peer.
const PAUSE: Duration = Duration::from_millis(10);

/// Each peer calls at least so often.
const CALLS_MIN: usize = 10;

/// Peers that call without end, one for each shard.
pub(crate) struct Healthy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Duration)>>,
}

impl Healthy {
    /// Connects them. Before any other connection: sockets go to the shards in turn.
    pub(crate) fn start(server: &Server) -> Healthy {
        let address = server.address();
        let stop = Arc::new(AtomicBool::new(false));
        let mut peers: Vec<Peer> = (0..SHARDS).map(|_| Peer::connect(address)).collect();
        // Once they are answered, their descriptors are open there.
        for peer in &mut peers {
            assert_eq!(peer.call("@echo", b"").expect("an answer").kind, 1);
        }
        let threads = peers
            .into_iter()
            .map(|peer| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || call_until(peer, &stop))
            })
            .collect();
        Healthy {
            address,
            stop,
            threads,
        }
    }

    /// Ends them; checks that every call was answered in time, and that a new peer is served too.
    pub(crate) fn finish(self) {
        let mut newcomer = Peer::connect(self.address);
        let asked = Instant::now();
        assert_eq!(newcomer.call("@echo", &pack("new")).expect("an answer").kind, 1);
        assert!(
            asked.elapsed() < DELAY_MAX,
            "a new peer waited {:?}",
            asked.elapsed()
        );
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let (calls, slowest) = thread.join().expect("every call is answered");
            println!("healthy peer: {calls} calls, the slowest took {slowest:?}");
            assert!(slowest < DELAY_MAX, "a call took {slowest:?}");
        }
    }
}

fn call_until(mut peer: Peer, stop: &AtomicBool) -> (usize, Duration) {
    let mut slowest = Duration::ZERO;
    let mut calls = 0;
    while calls < CALLS_MIN || !stop.load(Ordering::Relaxed) {
        let payload = pack(&format!("call {calls}"));
        let asked = Instant::now();
        let answer = peer.call("@echo", &payload).expect("an answer");
        slowest = slowest.max(asked.elapsed());
        assert_eq!((answer.kind, answer.body), (1, payload));
        calls += 1;
        std::thread::sleep(PAUSE);
    }
    (calls, slowest)
}
