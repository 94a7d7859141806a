//! What the entries of links have in common.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerLink, Inbound};
use skyring_codec::native::{Hello, Resumption};

/// A hello that every peer takes.
pub fn hello() -> Hello {
    Hello {
        version: 1,
        node: "fuzz".to_owned(),
        channel: 1,
        channels: 1,
        threads: 1,
        epoch: 1,
        nonce: [7; 16],
        resume: Resumption::New,
        attempt: 0,
        traces: false,
    }
}

/// Up to so many bytes of what a link of either end shows, taken as its socket would.
macro_rules! taken_up_to {
    ($link:expr, $count:expr) => {{
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        let filled = $link.transmit(&mut slices);
        let bytes = crate::entries::peer::joined(&slices[..filled], $count);
        $link.transmitted(bytes.len());
        bytes
    }};
}
pub(super) use taken_up_to;

/// All that a link of either end shows, taken as its socket would.
macro_rules! taken {
    ($link:expr) => {{
        let mut all = Vec::new();
        while $link.has_output() {
            all.extend_from_slice(&crate::entries::peer::taken_up_to!($link, usize::MAX));
        }
        bytes::Bytes::from(all)
    }};
}
pub(super) use taken;

/// The first bytes of what lies in slices.
pub fn joined(slices: &[IoSlice<'_>], count: usize) -> Bytes {
    let mut bytes = Vec::new();
    for slice in slices {
        let left = count - bytes.len();
        bytes.extend_from_slice(&slice[..left.min(slice.len())]);
    }
    bytes.into()
}

/// Gives a caller a connection whose handshake is over, but for the answer to the hello, which is received and not
/// polled yet.
pub fn connect(caller: &mut CallerLink, now: u64) -> CalleeLink {
    caller.dial(now, &hello()).expect("a valid hello");
    let hello_sent = taken!(caller);
    let mut callee = greeted(CalleeLimits::default(), hello_sent);
    caller.receive(taken!(callee));
    callee
}

/// A callee that has received a hello and answered it.
pub fn greeted(limits: CalleeLimits, hello_sent: Bytes) -> CalleeLink {
    let mut callee = CalleeLink::new(limits);
    callee.receive(hello_sent);
    assert!(matches!(callee.poll_inbound(), Ok(Some(Inbound::Hello(_)))));
    callee.accept_hello(&hello()).expect("a valid hello");
    callee
}
