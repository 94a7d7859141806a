//! Floors and peers, measured in the same way as Skyring, so that ratios hold where figures do not.
//!
//! A *floor* is a minimal program, the best that the machine can do by some means; a *peer* is another program or library
//! for the same purpose. All of them send a value of the same size and return it, over one TCP connection on loopback,
//! between two processes.
//!
//! **Equal** for all are the size of the value, the calls in flight, one connection, the server in a process of its own
//! that is pinned to one processor, the client pinned to another, a warm-up that is not counted, and a closed loop (a
//! caller begins its next call when its last one is answered). Our clients read the clock once a call, as Skyring's load
//! does, and compare the whole reply.
//!
//! **Not equal** is what the note of each says, [`Peer::note`], which every [`PeerResult`] has. The largest differences:
//! only Skyring and the two call loops spin when the settings say so, and only they were written for many calls in flight
//! on one connection; `redis-benchmark` sends the calls in flight as one batch and awaits it, so its connection idles
//! between two batches; Erlang and Skynet are interpreted or compiled to slower code than Rust, and do more for a call.
//!
//! Invariants: no server outlives its measurement, nor this process, however that ends; every wait has a bound; a peer
//! that is not installed is [`PeerError::Unavailable`], which is no failure.

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
