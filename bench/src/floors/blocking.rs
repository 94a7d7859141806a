//! Plain blocking sockets: the floor under every latency, and under the time that a stream of bytes takes.
//!
//! The echo reads whole values and writes as many back; with several in flight the values of one read return with one
//! write, at both ends. The stream is one way: the server only reads.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::client::{self, value};
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::meter::Meter;
use super::peer::Peer;
use crate::blocking_echo::prepare;
use crate::interrupt::Interrupt;

/// Size of the buffers that are read into, or of one value if that is longer.
const READ_BYTES: usize = 256 << 10;

/// Bytes in flight that the sockets' buffers always hold. With more, both sides could be writing, and neither reading.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 10;

pub(super) fn serve_echo(listener: &TcpListener) -> io::Result<()> {
    let mut stream = accept(listener)?;
    // The client first sends the size of a value.
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = (u32::from_le_bytes(size) as usize).max(1);
    let mut received = vec![0; READ_BYTES.max(size)];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut received[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let whole = filled - filled % size;
        stream.write_all(&received[..whole])?;
        received.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

pub(super) fn serve_stream(listener: &TcpListener) -> io::Result<()> {
    let mut stream = accept(listener)?;
    let mut received = vec![0; 1 << 20];
    while stream.read(&mut received)? > 0 {}
    Ok(())
}

/// Without read timeouts: the client may be paused, and it ends the server.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    prepare(&stream)?;
    Ok(stream)
}

pub(super) fn measure_echo(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let mut settings = settings.clone();
    settings.size = settings.size.max(1);
    settings.in_flight = settings.in_flight.min(IN_FLIGHT_BYTES_MAX / settings.size).max(1);
    client::measure(
        Peer::BlockingEcho,
        &settings,
        launcher,
        interrupt,
        |address, settings, mut meter| {
            let mut stream = connect(address)?;
            echo(&mut stream, settings, &mut meter).map_err(PeerError::client)?;
            meter.finish()
        },
    )
}

fn echo(stream: &mut TcpStream, settings: &Settings, meter: &mut Meter) -> io::Result<()> {
    let (size, value) = (settings.size, value(settings));
    let values = value.repeat(settings.in_flight);
    let mut received = vec![0; READ_BYTES.max(size)];
    let mut filled = 0;
    stream.write_all(&(size as u32).to_le_bytes())?;
    // When the calls in flight began, the oldest first: replies arrive in order.
    let mut begun = VecDeque::from(vec![Instant::now(); settings.in_flight]);
    stream.write_all(&values)?;
    loop {
        let read = stream.read(&mut received[filled..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let whole = filled - filled % size;
        for answer in received[..whole].chunks_exact(size) {
            let ended = Instant::now();
            let began = begun.pop_front().unwrap_or(ended);
            begun.push_back(ended);
            if meter.answered(began, ended, answer == value).is_break() {
                return Ok(());
            }
        }
        stream.write_all(&values[..whole])?;
        received.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

pub(super) fn measure_stream(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let mut settings = settings.clone();
    settings.in_flight = 1;
    client::measure(
        Peer::BlockingStream,
        &settings,
        launcher,
        interrupt,
        |address, settings, mut meter| {
            let mut stream = connect(address)?;
            let value = value(settings);
            let mut begun = Instant::now();
            loop {
                stream.write_all(&value).map_err(PeerError::client)?;
                let ended = Instant::now();
                if meter.answered(begun, ended, true).is_break() {
                    return meter.finish();
                }
                begun = ended;
            }
        },
    )
}
