//! Floors and peers, measured in the same way as Skyring, so that ratios hold where figures do not.
//!
//! A *floor* is what the machine can do at best with a certain means; a *peer* is another program or
//! library that people use for the same thing. All of them carry a value of the same size there and back
//! over one TCP connection on loopback, between two processes.
//!
//! **What is equal** for all: the size of the value, the calls in flight, one connection, the server in a
//! process of its own that is pinned to one processor, the client pinned to another, a warm-up that is not
//! counted, and a closed loop (a caller begins its next call when its last one is answered). Clients that
//! are written here look at the clock once a call, as Skyring's load does, and compare the whole answer.
//!
//! **What is not** stands in the note of each, [`Peer::note`], which every [`PeerResult`] carries. The widest
//! differences: only Skyring and the two call loops spin when they are told to, and only they have been
//! written for many calls in flight on one connection; what `redis-benchmark` calls in flight is sent and
//! awaited in one piece, so its connection idles between two pieces; Erlang and Skynet are interpreted or
//! compiled to something slower than machine code from Rust, and do more for a call.
//!
//! Invariants: no server outlives its measurement, nor this process, whatever way that ends; every wait has
//! a bound; what is not installed is [`PeerError::Unavailable`] and no fault.

mod blocking;
mod call_loop;
mod client;
mod client_report;
mod dispatch;
mod erlang;
mod glommio;
mod launcher;
mod measurement;
mod meter;
mod peer;
mod program;
mod redis;
mod server_process;
mod skynet;
#[cfg(feature = "peers")]
mod tarpc;
#[cfg(feature = "peers")]
mod tokio_client;
#[cfg(feature = "peers")]
mod tonic;
mod uring;

pub use self::dispatch::serve;
pub use self::launcher::Launcher;
pub use self::measurement::{PeerError, PeerResult, Settings};
pub use self::peer::Peer;
