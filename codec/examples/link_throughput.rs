//! Small calls per second that two links exchange in memory, on one core and without a socket: the upper bound that
//! the codec sets for one channel, in either dialect, and the cost of sessions that can be resumed.
//!
//! `cargo run --release -p skyring-codec --example link_throughput [payload bytes] [calls a pass]`

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound,
};
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};
use skyring_codec::outbuffer::SLICES_MAX;
use skyring_codec::skynet::Address;

/// The size of a read buffer, whose memory is reused.
const READ_BYTES: usize = 256 * 1024;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let payload_bytes = arguments.next().transpose()?.unwrap_or(16);
    let calls_a_pass = arguments.next().transpose()?.unwrap_or(64) as u64;
    println!("M calls/s, {payload_bytes} bytes, {calls_a_pass} calls a pass");
    println!("round   skynet handle   skynet name   native handle   native name   without a session");
    for round in 1..=5 {
        let mut rates = Vec::new();
        let (handle, name) = (Address::Handle(10), Address::Name(b"@sdb"));
        for (dialect, address, is_resumed) in [
            (Dialect::Skynet, handle, false),
            (Dialect::Skynet, name, false),
            (Dialect::Native, handle, true),
            (Dialect::Native, name, true),
            (Dialect::Native, name, false),
        ] {
            rates.push(run(dialect, address, is_resumed, payload_bytes, calls_a_pass)?);
        }
        let [skynet_handle, skynet_name, native_handle, native_name, alone] = rates[..] else {
            return Err("five rates".into());
        };
        println!(
            "{round:5} {skynet_handle:15.2} {skynet_name:13.2} {native_handle:15.2} {native_name:13.2} {alone:19.2}"
        );
    }
    Ok(())
}

/// Runs for about half a second and returns millions of calls a second.
fn run(
    dialect: Dialect,
    address: Address<'_>,
    is_resumed: bool,
    payload_bytes: usize,
    calls_a_pass: u64,
) -> Result<f64, Failure> {
    let mut pair = Pair {
        caller: CallerLink::new(CallerLimits {
            is_resumed,
            ..CallerLimits::default()
        }),
        callee: CalleeLink::new(CalleeLimits::default()),
        reads: (BytesMut::new(), BytesMut::new()),
        hello: Hello {
            version: VERSION,
            node: "throughput".to_owned(),
            channel: 1,
            channels: 1,
            threads: 1,
            epoch: 1,
            nonce: [0; NONCE_BYTES],
            resume: Resumption::New,
            attempt: 0,
            traces: false,
        },
        answered: 0,
    };
    match dialect {
        Dialect::Skynet => pair.caller.connected(),
        Dialect::Native => {
            pair.caller.dial(0, &pair.hello)?;
            pair.exchange(0)?;
        }
    }
    // Each call takes its payload; a static one can be used for all calls without an allocation.
    let payload = Bytes::from_static(vec![b'x'; payload_bytes].leak());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        let now = begin.elapsed().as_millis() as u64;
        for token in 0..calls_a_pass {
            let request = CallerRequest {
                address,
                source: 9,
                key: 9,
                payload: payload.clone(),
                deadline: Some(now + 30_000),
                token: Some(token),
                is_idempotent: false,
            };
            pair.caller.request(now, request)?;
        }
        pair.exchange(now)?;
    }
    assert_eq!(pair.caller.outstanding(), 0);
    assert_eq!(pair.caller.dialect(), Some(dialect));
    Ok(pair.answered as f64 / begin.elapsed().as_secs_f64() / 1e6)
}

/// The two ends and their read buffers.
struct Pair {
    caller: CallerLink,
    callee: CalleeLink,
    reads: (BytesMut, BytesMut),
    hello: Hello,
    answered: u64,
}

impl Pair {
    /// Transfers the output of each end to the other, and answers the requests.
    fn exchange(&mut self, now: u64) -> Result<(), Failure> {
        while self.caller.has_output() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.caller.transmit(&mut slices);
            let (chunk, taken) = read(&slices[..count], &mut self.reads.0);
            self.caller.transmitted(taken);
            self.callee.receive(chunk);
            while let Some(inbound) = self.callee.poll_inbound()? {
                match inbound {
                    Inbound::Request(request) => self.callee.respond(request.session, Ok(request.payload)),
                    Inbound::Hello(_) => self.callee.accept_hello(&self.hello)?,
                    Inbound::Goodbye => {}
                }
            }
        }
        while self.callee.has_output() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.callee.transmit(&mut slices);
            let (chunk, taken) = read(&slices[..count], &mut self.reads.1);
            self.callee.transmitted(taken);
            self.caller.receive(chunk);
            while let Some(event) = self.caller.poll_event(now)? {
                match event {
                    CallerEvent::Reply { result: Ok(_), .. } => self.answered += 1,
                    CallerEvent::Ready { .. } => {}
                    other => return Err(format!("{other:?}").into()),
                }
            }
        }
        Ok(())
    }
}

/// Copies as a socket would, into a buffer that is reused once no slice refers to it.
fn read(slices: &[IoSlice<'_>], buffer: &mut BytesMut) -> (Bytes, usize) {
    buffer.reserve(READ_BYTES);
    for slice in slices {
        buffer.extend_from_slice(slice);
    }
    let taken = buffer.len();
    (buffer.split().freeze(), taken)
}
