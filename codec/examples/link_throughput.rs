//! How many small calls a second two links exchange in memory, on one core and without a socket:
//! the ceiling that the codec sets for one channel.
//!
//! `cargo run --release -p skyring-codec --example link_throughput [payload bytes] [calls a pass]`

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink};
use skyring_codec::outbuffer::SLICES_MAX;
use skyring_codec::skynet::Address;

/// What a socket would read into: one large buffer whose memory is used again.
const READ_BYTES: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let payload_bytes = arguments.next().transpose()?.unwrap_or(16);
    let calls_a_pass = arguments.next().transpose()?.unwrap_or(64) as u64;
    for round in 1..=5 {
        let calls = run(payload_bytes, calls_a_pass)?;
        println!("round {round}: {calls:.2} M calls/s, {payload_bytes} bytes, {calls_a_pass} a pass");
    }
    Ok(())
}

/// Runs for about a second and returns millions of calls a second.
fn run(payload_bytes: usize, calls_a_pass: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let mut caller = CallerLink::new(CallerLimits::default());
    let mut callee = CalleeLink::new(CalleeLimits::default());
    caller.connected();
    let payload = Bytes::from(vec![b'x'; payload_bytes]);
    let mut reads = (BytesMut::new(), BytesMut::new());
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        let now = begin.elapsed().as_millis() as u64;
        for token in 0..calls_a_pass {
            caller.call(Address::Handle(10), &payload, Some(now + 30_000), token)?;
        }
        while caller.has_output() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = caller.transmit(&mut slices);
            let (chunk, taken) = read(&slices[..count], &mut reads.0);
            caller.transmitted(taken);
            callee.receive(chunk);
            while let Some(request) = callee.poll_event()? {
                callee.respond(request.session, Ok(request.payload));
            }
        }
        while callee.has_output() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = callee.transmit(&mut slices);
            let (chunk, taken) = read(&slices[..count], &mut reads.1);
            callee.transmitted(taken);
            caller.receive(chunk);
            while let Some(event) = caller.poll_event(now)? {
                assert!(matches!(event, CallerEvent::Reply { result: Ok(_), .. }));
                calls += 1;
            }
        }
    }
    assert!(caller.is_idle());
    Ok(calls as f64 / begin.elapsed().as_secs_f64() / 1e6)
}

/// Copies as a socket would, into a buffer that is used again once nobody refers to it.
fn read(slices: &[IoSlice<'_>], buffer: &mut BytesMut) -> (Bytes, usize) {
    buffer.reserve(READ_BYTES);
    for slice in slices {
        buffer.extend_from_slice(slice);
    }
    let taken = buffer.len();
    (buffer.split().freeze(), taken)
}
