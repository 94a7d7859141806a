//! Both ends of a link in memory: small calls in either dialect, and long ones, which go in parts in the skynet
//! dialect.

use std::hint::black_box;
use std::io::IoSlice;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound,
};
use skyring_codec::native::{Hello, Resumption, VERSION};
use skyring_codec::seri;
use skyring_codec::skynet::Address;

/// Slices of one pass.
const SLICES: usize = 64;

/// Calls of a pass, as a busy connection makes them.
const CALLS: usize = 64;

/// A payload that the skynet dialect sends in parts.
const LONG_BYTES: usize = 1 << 20;

struct Pair {
    caller: CallerLink,
    callee: CalleeLink,
}

impl Pair {
    fn new(dialect: Dialect) -> Pair {
        let mut pair = Pair {
            caller: CallerLink::new(CallerLimits::default()),
            callee: CalleeLink::new(CalleeLimits::default()),
        };
        if dialect == Dialect::Skynet {
            pair.caller.connected();
            return pair;
        }
        let hello = Hello {
            version: VERSION,
            node: "db".to_owned(),
            channel: 1,
            channels: 1,
            threads: 1,
            epoch: 1,
            nonce: [0; 16],
            resume: Resumption::New,
            attempt: 0,
            traces: false,
        };
        pair.caller.dial(0, &hello).expect("a valid hello");
        pair.carry_there();
        assert!(matches!(pair.callee.poll_inbound(), Ok(Some(Inbound::Hello(_)))));
        pair.callee.accept_hello(&hello).expect("a valid hello");
        pair.carry_back();
        assert!(matches!(pair.caller.poll_event(0), Ok(Some(_))));
        pair
    }

    /// What the kernel does between two sockets.
    fn carry_there(&mut self) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let shown = self.caller.transmit(&mut slices);
            if shown == 0 {
                return;
            }
            let bytes = joined(&slices[..shown]);
            self.caller.transmitted(bytes.len());
            self.callee.receive(bytes);
        }
    }

    fn carry_back(&mut self) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let shown = self.callee.transmit(&mut slices);
            if shown == 0 {
                return;
            }
            let bytes = joined(&slices[..shown]);
            self.callee.transmitted(bytes.len());
            self.caller.receive(bytes);
        }
    }

    /// So many calls, their requests, their answers.
    fn pass(&mut self, calls: usize, payload: &Bytes) {
        for token in 0..calls as u64 {
            let request = CallerRequest {
                address: Address::Name(b"@sdb"),
                source: 9,
                key: 9,
                payload: payload.clone(),
                deadline: Some(30_000),
                token: Some(token),
                is_idempotent: false,
            };
            self.caller.request(0, request).expect("the link is empty");
        }
        self.carry_there();
        while let Some(request) = self.callee.next_resolved(1, |_| Some(10)) {
            self.callee.respond(request.session, Ok(request.payload));
        }
        while let Some(inbound) = self.callee.poll_inbound().expect("a caller link wrote it") {
            if let Inbound::Request(request) = inbound {
                self.callee.respond(request.session, Ok(request.payload));
            }
        }
        self.carry_back();
        while let Some(reply) = self.caller.next_reply() {
            black_box(reply);
        }
        while let Some(event) = self.caller.poll_event(0).expect("a callee link wrote it") {
            black_box(event);
        }
    }
}

fn joined(slices: &[IoSlice<'_>]) -> Bytes {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let payload = seri::pack(&("GET", "player:10086")).expect("two short strings can be packed");
    let long = Bytes::from(vec![7; LONG_BYTES]);
    for dialect in [Dialect::Native, Dialect::Skynet] {
        let mut group = criterion.benchmark_group(format!("link, {dialect:?}"));
        let mut pair = Pair::new(dialect);
        group.throughput(Throughput::Elements(CALLS as u64));
        group.bench_function("small calls, both ends", |bench| {
            bench.iter(|| pair.pass(CALLS, &payload))
        });
        group.throughput(Throughput::Bytes(2 * LONG_BYTES as u64));
        group.bench_function("1 MiB there and back", |bench| bench.iter(|| pair.pass(1, &long)));
    }
}
