//! The floor under every latency: the same bytes through plain blocking sockets.
//!
//! One thread echoes, another sends and waits, one value in flight, each pinned as the shards of a measurement are. No
//! program that passes messages over TCP can be faster than this at one in flight without burning a processor, so its
//! ratio holds on a noisy machine where the figures do not.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use thiserror::Error;

use crate::interrupt::Interrupt;
use crate::latency::{self, Latency};
use crate::pinned_thread::PinnedThread;

/// A socket on which nothing arrives for this long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Why there is no floor.
#[derive(Debug, Error)]
pub enum FloorError {
    /// A socket or a thread failed.
    #[error("blocking echo: {0}")]
    System(#[from] io::Error),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

/// The figures of a blocking echo.
#[derive(Debug, Clone, PartialEq)]
pub struct Floor {
    /// Round trips.
    pub calls: u64,
    /// The same a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// The same with every round trip: nanoseconds.
    pub latencies: Histogram<u64>,
    /// Size of the value, in bytes.
    pub size: usize,
    /// The time that was measured.
    pub seconds: f64,
}

/// Measures a blocking echo of `size` bytes, one in flight, for `duration` after `warm_up`. The echoing
/// thread is pinned to the allowed processor number `server_cpu`, counted from 0, the other to `client_cpu`.
///
/// # Errors
/// [`FloorError`].
pub fn blocking_echo(
    size: usize,
    warm_up: Duration,
    duration: Duration,
    (server_cpu, client_cpu): (usize, usize),
    interrupt: &Interrupt,
) -> Result<Floor, FloorError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let server: PinnedThread<(), io::Error> =
        PinnedThread::start("floor-server", server_cpu, move || echo(&listener, size))?;
    let interrupt = interrupt.clone();
    let client = PinnedThread::start("floor-client", client_cpu, move || {
        measure(address, size, warm_up, duration, &interrupt)
    })?;
    let measured = client.join();
    // The server ends when the client's end is closed; if the client never connected, this connection ends it.
    let _ = TcpStream::connect(address);
    let served = server.join();
    let floor = measured?;
    served?;
    Ok(floor)
}

fn echo(listener: &TcpListener, size: usize) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    prepare(&stream)?;
    let mut value = vec![0; size];
    loop {
        match stream.read_exact(&mut value) {
            Ok(()) => stream.write_all(&value)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn measure(
    address: SocketAddr,
    size: usize,
    warm_up: Duration,
    duration: Duration,
    interrupt: &Interrupt,
) -> Result<Floor, FloorError> {
    let mut stream = TcpStream::connect(address)?;
    prepare(&stream)?;
    let (sent, mut received) = (vec![b'x'; size], vec![0; size]);
    let mut round_trip = |stream: &mut TcpStream| -> io::Result<()> {
        stream.write_all(&sent)?;
        stream.read_exact(&mut received)
    };
    let started = Instant::now();
    while started.elapsed() < warm_up {
        round_trip(&mut stream)?;
    }
    let mut latencies = latency::histogram();
    let started = Instant::now();
    let mut begun = started;
    while begun - started < duration {
        round_trip(&mut stream)?;
        let ended = Instant::now();
        latency::record(&mut latencies, ended - begun);
        begun = ended;
        if interrupt.requested() {
            return Err(FloorError::Interrupted);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Floor {
        calls: latencies.len(),
        calls_per_second: latencies.len() as f64 / seconds,
        latency_us: Latency::of(&latencies),
        latencies,
        size,
        seconds,
    })
}

/// Sets what a blocking socket of a floor needs: no delay of small writes, and a bound on each wait.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_counts_round_trips_and_their_time() {
        let time = Duration::from_millis(50);
        let floor = blocking_echo(64, time, time, (0, 1), &Interrupt::default()).unwrap();
        assert!(floor.calls > 0 && floor.seconds >= 0.05, "{floor:?}");
        assert!(
            floor.latency_us.p50 > 0.0 && floor.latency_us.p50 <= floor.latency_us.max,
            "{floor:?}"
        );
    }
}
