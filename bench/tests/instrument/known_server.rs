//! A TCP echo whose delays, stalls and cuts are known, and which records when it answered each call by its own clock.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of each value.
pub(crate) const SIZE: usize = 64;

/// What the server does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// When each stall begins after the first call, and its length.
    pub(crate) stalls: Vec<(Duration, Duration)>,
    /// How long it waits before each answer.
    pub(crate) delay: Duration,
    /// How many connections it cuts, the first ones.
    pub(crate) cuts: usize,
    /// After how many answers it cuts each of them.
    pub(crate) cut_after: usize,
    /// How many calls must be in flight at a cut.
    pub(crate) cut_with_in_flight: usize,
}

/// What happened, by the server's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    /// When each call arrived, and when the writing of its answer began.
    calls: Vec<(Instant, Instant)>,
    cuts: usize,
}

impl Truth {
    /// How many calls were answered.
    pub(crate) fn answers(&self) -> u64 {
        self.calls.len() as u64
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts
    }

    /// The latencies since the calls were due, sorted, when call `n` is due `n / rate` seconds after the first. When that
    /// was follows from the arrivals: no call arrives before it is due, and the most punctual one was hardly late. So
    /// these are never longer than the truth.
    pub(crate) fn latencies_since_due(&self, rate: f64) -> Vec<Duration> {
        let due = |call: usize| Duration::from_secs_f64(call as f64 / rate);
        // The threads of the server may have written them down in another order than they arrived.
        let mut calls = self.calls.clone();
        calls.sort_unstable();
        let starts = calls.iter().enumerate();
        let start = starts.filter_map(|(call, (arrived, _))| arrived.checked_sub(due(call)));
        let start = start.min().expect("calls arrived");
        let ended = calls.iter().enumerate();
        let mut latencies: Vec<_> = ended
            .map(|(call, (_, answered))| answered.saturating_duration_since(start + due(call)))
            .collect();
        latencies.sort();
        latencies
    }
}

/// The running server. Its threads end with their connections.
pub(crate) struct KnownServer {
    address: SocketAddr,
    truth: Arc<Mutex<Truth>>,
}

impl KnownServer {
    pub(crate) fn start(plan: Plan) -> KnownServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let truth = Arc::new(Mutex::new(Truth::default()));
        let written = Arc::clone(&truth);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                stream.set_nodelay(true).expect("a socket");
                if number < plan.cuts {
                    cut(stream, &plan, &written);
                } else {
                    serve(stream, &plan, &written);
                }
            }
        });
        KnownServer { address, truth }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened until now.
    pub(crate) fn truth(&self) -> Truth {
        self.truth.lock().expect("no panic").clone()
    }
}

/// Answers in order; a thread of its own notes when calls arrive, even in a stall.
fn serve(stream: TcpStream, plan: &Plan, truth: &Mutex<Truth>) {
    let arrivals = read_calls(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    let mut began = None;
    let mut stalls = plan.stalls.iter().peekable();
    for (arrived, value) in arrivals {
        let began = *began.get_or_insert(arrived);
        if let Some((_, length)) = stalls.next_if(|(at, _)| began.elapsed() >= *at) {
            thread::sleep(*length);
        }
        thread::sleep((arrived + plan.delay).saturating_duration_since(Instant::now()));
        let answered = Instant::now();
        if stream.write_all(&value).is_err() {
            return;
        }
        truth.lock().expect("no panic").calls.push((arrived, answered));
    }
}

fn read_calls(mut stream: TcpStream) -> Receiver<(Instant, [u8; SIZE])> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut value = [0; SIZE];
        while stream.read_exact(&mut value).is_ok() {
            if sender.send((Instant::now(), value)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Answers some calls, waits until so many are in flight, and closes the connection.
fn cut(mut stream: TcpStream, plan: &Plan, truth: &Mutex<Truth>) {
    let mut value = [0; SIZE];
    for _ in 0..plan.cut_after {
        if stream
            .read_exact(&mut value)
            .and_then(|()| stream.write_all(&value))
            .is_err()
        {
            return;
        }
    }
    for _ in 0..plan.cut_with_in_flight {
        if stream.read_exact(&mut value).is_err() {
            return;
        }
    }
    // Everything was read, so that this is an orderly end and no reset.
    let _ = stream.shutdown(Shutdown::Both);
    truth.lock().expect("no panic").cuts += 1;
}
