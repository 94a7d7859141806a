//! The clients of the gate: each sends a message, waits for its echo, and sends the next one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The bytes of a message, after the two of its length.
const BYTES: u8 = 64;

/// The time in which nothing is counted yet, and that in which it is.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(1_500);

/// The longest time to wait for an echo.
const ECHO_TIME_MAX: Duration = Duration::from_secs(10);

/// The echoes of a second, with this number of clients at a gate.
///
/// # Errors
/// When a connection fails, or an echo has other bytes.
pub(crate) fn echo_rate(port: u16, clients: usize) -> io::Result<f64> {
    let (is_counting, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let connected = Barrier::new(clients + 1);
    thread::scope(|scope| {
        let client = || {
            let connection = connect(port);
            connected.wait();
            count_echoes(connection?, &is_counting, &is_over)
        };
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        connected.wait();
        thread::sleep(WARM_UP);
        let began = Instant::now();
        is_counting.store(true, Ordering::Relaxed);
        thread::sleep(MEASURED);
        is_over.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut echoes = 0;
        for client in running {
            echoes += client
                .join()
                .map_err(|_| io::Error::other("a client panicked"))??;
        }
        Ok(echoes as f64 / elapsed.as_secs_f64())
    })
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(ECHO_TIME_MAX))?;
    Ok(connection)
}

fn count_echoes(
    mut connection: TcpStream,
    is_counting: &AtomicBool,
    is_over: &AtomicBool,
) -> io::Result<u64> {
    let mut message = vec![0, BYTES];
    message.extend(0..BYTES);
    let mut echo = vec![0; message.len()];
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        connection.write_all(&message)?;
        connection.read_exact(&mut echo)?;
        if echo != message {
            return Err(io::Error::other("an echo has other bytes"));
        }
        count += u64::from(is_counting.load(Ordering::Relaxed));
    }
    Ok(count)
}
