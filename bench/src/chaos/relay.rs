//! The proxy's loop: accepts, polls, forwards, and cuts when a cut is due.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::{Connection, Side};
use super::faults::Faults;
use super::shared::Shared;

/// Most connections that pass through a proxy at a time; further ones are closed at once.
pub const CHAOS_CONNECTIONS_MAX: usize = 1_024;

/// The longest sleep, which bounds the cost of a lost wake-up.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Pause after an accept that failed, for example because there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Connections that are accepted in one pass.
const ACCEPTS_PER_PASS_MAX: usize = 64;

/// When all connections are cut next.
struct Cuts {
    per_second: f64,
    next: Option<Instant>,
    requested: u64,
}

impl Cuts {
    /// Returns whether a cut is due, and sets the time of the next one.
    fn take_due(&mut self, faults: &Faults, requested: u64, now: Instant) -> bool {
        if faults.cuts_per_second != self.per_second {
            self.per_second = faults.cuts_per_second;
            self.next = self.pause().map(|pause| now + pause);
        }
        let mut due = std::mem::replace(&mut self.requested, requested) != requested;
        if let (Some(next), Some(pause)) = (self.next, self.pause())
            && next <= now
        {
            due = true;
            // Missed cuts are not repeated.
            self.next = Some((next + pause).max(now));
        }
        due
    }

    fn pause(&self) -> Option<Duration> {
        (self.per_second > 0.0).then(|| Duration::from_secs_f64((1.0 / self.per_second).min(86_400.0)))
    }
}

/// Runs until the proxy's value is dropped.
pub(super) fn run(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut buffer = Vec::new();
    let mut cuts = Cuts {
        per_second: 0.0,
        next: None,
        requested: 0,
    };
    while !shared.ended.load(Ordering::Acquire) {
        let faults = shared.faults();
        let now = Instant::now();
        let requested = shared.cuts_requested.load(Ordering::Acquire);
        if cuts.take_due(&faults, requested, now) && !faults.stalled {
            shared.cut.fetch_add(connections.len() as u64, Ordering::Relaxed);
            connections
                .drain(..)
                .for_each(|connection| connection.cut(faults.reset));
        }
        let Some(events) = wait(listener, shared, &connections, &faults, cuts.next) else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let mut over = Vec::new();
        for (index, side) in events.ready {
            let Some(connection) = connections.get_mut(index) else {
                continue;
            };
            let was_connecting = connection.is_connecting();
            if connection.ready(side, &faults, &mut buffer).is_err() {
                shared
                    .refused
                    .fetch_add(u64::from(was_connecting), Ordering::Relaxed);
                over.push(index);
            }
        }
        if !faults.stalled {
            let now = Instant::now();
            for (index, connection) in connections.iter_mut().enumerate() {
                match connection.forward(&faults, now) {
                    Ok(bytes) => {
                        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                    }
                    Err(_) => over.push(index),
                }
            }
        }
        over.sort_unstable();
        over.dedup();
        for index in over.into_iter().rev() {
            // The other side of a broken connection gets a reset, if resets are on, and no orderly end.
            connections.swap_remove(index).cut(faults.reset);
        }
        if events.listener {
            accept(listener, target, shared, &mut connections);
        }
    }
}

/// The sockets with events.
struct Events {
    listener: bool,
    ready: Vec<(usize, Side)>,
}

/// Waits until a socket has an event or something is due; `None` when the system refuses.
fn wait(
    listener: &TcpListener,
    shared: &Shared,
    connections: &[Connection],
    faults: &Faults,
    next_cut: Option<Instant>,
) -> Option<Events> {
    let mut polled = Vec::new();
    let mut fds = vec![
        PollFd::new(&shared.bell, PollFlags::IN),
        PollFd::new(listener, PollFlags::IN),
    ];
    let mut due = next_cut.filter(|_| !faults.stalled);
    if !faults.stalled {
        for (index, connection) in connections.iter().enumerate() {
            for side in [Side::Client, Side::Target] {
                let interest = connection.interest(side);
                // A socket without interest is left out: its hang-up would end every poll at once.
                if !interest.is_empty() {
                    fds.push(PollFd::new(connection.socket(side), interest));
                    polled.push((index, side));
                }
            }
            due = match (due, connection.next_due()) {
                (Some(due), Some(next)) => Some(due.min(next)),
                (due, next) => due.or(next),
            };
        }
    }
    let pause = due.map_or(SLEEP_MAX, |due| {
        due.saturating_duration_since(Instant::now()).min(SLEEP_MAX)
    });
    let pause = Timespec {
        tv_sec: pause.as_secs() as i64,
        tv_nsec: i64::from(pause.subsec_nanos()),
    };
    match poll(&mut fds, Some(&pause)) {
        Ok(_) => {}
        Err(error) if error == rustix::io::Errno::INTR => {}
        Err(_) => return None,
    }
    let has_event = |fd: &PollFd<'_>| !fd.revents().is_empty();
    if fds.first().is_some_and(has_event) {
        let mut count = [0; 8];
        // Empties the eventfd; it may be empty already.
        let _ = rustix::io::read(&shared.bell, &mut count);
    }
    Some(Events {
        listener: fds.get(1).is_some_and(has_event),
        ready: polled
            .into_iter()
            .zip(fds.iter().skip(2))
            .filter_map(|(which, fd)| has_event(fd).then_some(which))
            .collect(),
    })
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Shared, connections: &mut Vec<Connection>) {
    for _ in 0..ACCEPTS_PER_PASS_MAX {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => return std::thread::sleep(ACCEPT_PAUSE),
        };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        if connections.len() >= CHAOS_CONNECTIONS_MAX {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        match Connection::start(client, target) {
            Ok(connection) => connections.push(connection),
            Err(_) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
