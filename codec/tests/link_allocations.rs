//! A steady flow of calls allocates nothing at either end of a link.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound,
};
use skyring_codec::native::{Hello, Resumption};
use skyring_codec::outbuffer::COPY_BYTES_MAX;
use skyring_codec::skynet::Address;

thread_local! {
    // Of this thread only, so that other threads are not counted.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(
    unsafe_code,
    reason = "the only way to count allocations; every method passes its arguments on to the system's \
              allocator as they are, and so keeps the contract as far as the system's does. The counter is a \
              thread-local without a destructor or lazy initialisation, so touching it allocates nothing"
)]
// SAFETY: see the reason above.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` with `layout`, as every pointer given out here did.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

const CALLS_A_PASS: u64 = 64;

/// Two ends and their read buffers, which are allocated before the count begins.
struct Pair {
    caller: CallerLink,
    callee: CalleeLink,
    reads: (BytesMut, BytesMut),
    counted: (u64, u64),
}

impl Pair {
    fn new(dialect: Dialect) -> Self {
        let mut pair = Self {
            caller: CallerLink::new(CallerLimits::default()),
            callee: CalleeLink::new(CalleeLimits::default()),
            reads: (BytesMut::new(), BytesMut::new()),
            counted: (0, 0),
        };
        let hello = Hello {
            version: 1,
            node: "one".to_owned(),
            channel: 1,
            channels: 1,
            threads: 1,
            epoch: 1,
            nonce: [0; 16],
            resume: Resumption::New,
            attempt: 0,
            traces: false,
        };
        match dialect {
            Dialect::Skynet => pair.caller.connected(),
            Dialect::Native => {
                pair.caller.dial(0, &hello).expect("a valid hello");
                let chunk = read(&mut pair.reads.0, |slices| pair.caller.transmit(slices));
                pair.caller.transmitted(chunk.len());
                pair.callee.receive(chunk);
                assert!(matches!(pair.callee.poll_inbound(), Ok(Some(Inbound::Hello(_)))));
                pair.callee.accept_hello(&hello).expect("a valid hello");
                let chunk = read(&mut pair.reads.1, |slices| pair.callee.transmit(slices));
                pair.callee.transmitted(chunk.len());
                pair.caller.receive(chunk);
                assert!(matches!(
                    pair.caller.poll_event(0),
                    Ok(Some(CallerEvent::Ready { .. }))
                ));
            }
        }
        assert_eq!(pair.caller.dialect(), Some(dialect));
        pair
    }

    /// A pass of calls and their answers at `now`; what each end allocates is added to its count.
    fn pass(&mut self, now: u64, addresses: &[Address<'_>], payload: &Bytes) {
        let before = allocations();
        for token in 0..CALLS_A_PASS {
            let address = addresses[token as usize % addresses.len()];
            let request = CallerRequest {
                address,
                source: 9,
                key: 9,
                payload: payload.clone(),
                deadline: Some(now + 30_000),
                token: Some(token),
                is_idempotent: false,
            };
            self.caller.request(now, request).expect("accepted");
        }
        self.counted.0 += allocations() - before;

        let chunk = read(&mut self.reads.0, |slices| self.caller.transmit(slices));
        let before = allocations();
        self.caller.transmitted(chunk.len());
        self.counted.0 += allocations() - before;

        let before = allocations();
        self.callee.receive(chunk);
        let mut answered = 0;
        while let Some(inbound) = self.callee.poll_inbound().expect("well-formed") {
            let Inbound::Request(request) = inbound else {
                panic!("no request")
            };
            self.callee.respond(request.session, Ok(request.payload));
            answered += 1;
        }
        self.counted.1 += allocations() - before;
        assert_eq!(answered, CALLS_A_PASS);

        let chunk = read(&mut self.reads.1, |slices| self.callee.transmit(slices));
        let before = allocations();
        self.callee.transmitted(chunk.len());
        self.counted.1 += allocations() - before;

        let before = allocations();
        self.caller.receive(chunk);
        let mut replies = 0;
        while let Some(event) = self.caller.poll_event(now).expect("well-formed") {
            assert!(matches!(event, CallerEvent::Reply { result: Ok(_), .. }));
            replies += 1;
        }
        self.counted.0 += allocations() - before;
        assert_eq!(replies, CALLS_A_PASS);
    }
}

/// Copies the output of a link, as a socket would.
fn read<'a>(buffer: &mut BytesMut, transmit: impl FnOnce(&mut [IoSlice<'a>]) -> usize) -> Bytes {
    buffer.reserve(256 * 1024);
    let mut slices = [IoSlice::new(&[]); 256];
    let filled = transmit(&mut slices);
    for slice in &slices[..filled] {
        buffer.extend_from_slice(slice);
    }
    buffer.split().freeze()
}

#[test]
fn a_steady_call_allocates_nothing_at_either_end_in_either_dialect() {
    let addresses = [
        Address::Handle(10),
        Address::Name(b"@sdb"),
        Address::Name(b".cache"),
        Address::Name(b"@sdb"),
    ];
    for dialect in [Dialect::Skynet, Dialect::Native] {
        // Copied and chained payloads.
        for bytes in [0, 16, 256, COPY_BYTES_MAX + 100] {
            let mut pair = Pair::new(dialect);
            let payload = Bytes::from(vec![7; bytes]);
            for now in 0..100 {
                pair.pass(now, &addresses, &payload);
            }
            assert!(
                pair.counted.0 > 0,
                "the counter counts: the first passes make room"
            );
            pair.counted = (0, 0);
            for now in 100..1_100 {
                pair.pass(now, &addresses, &payload);
            }
            assert_eq!(
                pair.counted,
                (0, 0),
                "of caller and callee, {dialect:?}, {bytes} bytes"
            );
        }
    }
}
