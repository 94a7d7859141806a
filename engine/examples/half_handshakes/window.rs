//! One window: calls to both nodes at the same time, while one of them is flooded or none.

use std::thread;
use std::time::{Duration, Instant};

use skyring::Node;

use crate::Outcome;
use crate::part::Part;
use crate::processors::stolen_time;
use crate::setting::NODES;

/// Calls of the healthy peer to each node, a second.
const CALLS_PER_SECOND: u32 = 1_000;

/// The parts that take part in each window.
pub(crate) struct Parts {
    pub(crate) nodes: [Part; 2],
    pub(crate) addresses: [String; 2],
    pub(crate) flooder: Part,
    pub(crate) peer: Node,
    /// Addresses that a flood comes from, and how many were used.
    pub(crate) sources: u32,
    pub(crate) sources_used: u32,
}

/// What a window shows.
pub(crate) struct Window {
    /// The p99 of the calls to each node, in seconds.
    pub(crate) p99: [f64; 2],
    pub(crate) failed: usize,
    /// The processor time of the nodes and of the flooder.
    pub(crate) node_time: [Duration; 2],
    pub(crate) flooder_time: Duration,
    /// The handshakes that were begun.
    pub(crate) begun: u64,
    /// For how long processors were taken from this machine.
    pub(crate) stolen: Duration,
    seconds: f64,
}

impl Window {
    /// How many seconds of processor time a node takes for a second.
    pub(crate) fn load(&self, node: usize) -> f64 {
        self.node_time[node].as_secs_f64() / self.seconds
    }

    /// The processor time of the flooded node and of the flooder for each handshake, in microseconds, where that node takes
    /// so many seconds a second without any.
    pub(crate) fn costs(&self, node: usize, idle: f64) -> (f64, f64) {
        let handshakes = self.begun.max(1) as f64;
        let more = self.node_time[node].as_secs_f64() - idle * self.seconds;
        (
            more * 1e6 / handshakes,
            self.flooder_time.as_secs_f64() * 1e6 / handshakes,
        )
    }
}

impl Parts {
    /// Calls for so many seconds, with so many handshakes at a node, from addresses that were not used yet.
    pub(crate) fn window(&mut self, seconds: f64, flood: Option<(usize, u64)>) -> Outcome<Window> {
        let stolen = stolen_time()?;
        let before = self.processor_times()?;
        if let Some((node, handshakes)) = flood {
            let (address, sources, source) = (&self.addresses[node], self.sources, self.sources_used);
            let line = format!("{address} {handshakes} {seconds} {source} {sources}");
            self.flooder.tell(&line)?;
            self.sources_used += sources;
        }
        let time = Duration::from_secs_f64(seconds);
        let peer = &self.peer;
        let [first, second] = thread::scope(|scope| {
            let threads = NODES.map(|node| scope.spawn(move || calls(peer, node, time)));
            threads.map(|thread| thread.join().unwrap_or_default())
        });
        let begun = match flood {
            Some(_) => self.flooder.line()?.parse()?,
            None => 0,
        };
        let after = self.processor_times()?;
        let spent = |part: usize| after[part].saturating_sub(before[part]);
        Ok(Window {
            p99: [p99(first.0)?, p99(second.0)?],
            failed: first.1 + second.1,
            node_time: [spent(0), spent(1)],
            flooder_time: spent(2),
            begun,
            seconds,
            stolen: stolen_time()?.saturating_sub(stolen),
        })
    }

    fn processor_times(&self) -> Outcome<[Duration; 3]> {
        let [first, second] = &self.nodes;
        Ok([
            first.processor_time()?,
            second.processor_time()?,
            self.flooder.processor_time()?,
        ])
    }
}

/// Makes calls that are due at equal distances; their times, from when they were due, and how many failed.
fn calls(peer: &Node, node: &str, time: Duration) -> (Vec<Duration>, usize) {
    let distance = Duration::from_secs(1) / CALLS_PER_SECOND;
    let callee = peer.client().node(node);
    let began = Instant::now();
    let (mut times, mut failed) = (Vec::new(), 0);
    for number in 1.. {
        let due = began + distance * number;
        if due.duration_since(began) >= time {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match callee.call("@echo", &"sixteen bytes...").wait() {
            Ok(_) => times.push(due.elapsed()),
            Err(_) => failed += 1,
        }
    }
    (times, failed)
}

/// The p99 of some times, in seconds.
fn p99(mut times: Vec<Duration>) -> Outcome<f64> {
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    Ok(times.get(at).ok_or("no call was answered")?.as_secs_f64())
}
