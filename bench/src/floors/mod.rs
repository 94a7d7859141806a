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
//! **What is not** stands in the note of each, [`Peer::note`], which every [`Measured`] carries. The widest
//! differences: only Skyring and the two call loops spin when they are told to, and only they have been
//! written for many calls in flight on one connection; what `redis-benchmark` calls in flight is sent and
//! awaited in one piece, so its connection idles between two pieces; Erlang and Skynet are interpreted or
//! compiled to something slower than machine code from Rust, and do more for a call.
//!
//! Invariants: no server outlives its measurement, nor this process, whatever way that ends; every wait has
//! a bound; what is not installed is [`PeerError::Unavailable`] and no fault.

mod blocking;
mod erlang;
mod glommio;
mod measured;
mod meter;
mod program;
mod redis;
mod server;
mod skynet;
#[cfg(feature = "peers")]
mod tarpc;
#[cfg(feature = "peers")]
mod tokio_client;
mod told;
#[cfg(feature = "peers")]
mod tonic;
mod uring;

use std::io;
use std::thread;

pub use measured::{Measured, PeerError, Settings};
pub use server::{Launcher, serve};

use self::redis::Test;
use crate::cpu::pin_this_thread;
use crate::interrupt::Interrupt;

/// A floor or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Plain blocking sockets that echo.
    BlockingEcho,
    /// A plain blocking socket that takes a stream of bytes, one way.
    BlockingStream,
    /// The bare call loop on glommio.
    Glommio,
    /// The same loop on io_uring without an executor.
    Uring,
    /// tarpc, over TCP with bincode.
    Tarpc,
    /// tonic: gRPC.
    Tonic,
    /// Redis: `GET` of a value.
    RedisGet,
    /// Redis: `SET` of a value.
    RedisSet,
    /// Redis: `ECHO` of a value.
    RedisEcho,
    /// Erlang: `gen_server:call` between two nodes.
    Erlang,
    /// Skynet: `cluster.call` between two nodes.
    Skynet,
    /// The services of `Skynet` in Lua on two nodes of Skyring's.
    SkyringLua,
}

impl Peer {
    /// All of them, floors first.
    pub const ALL: [Peer; 12] = [
        Peer::BlockingEcho,
        Peer::BlockingStream,
        Peer::Glommio,
        Peer::Uring,
        Peer::Tarpc,
        Peer::Tonic,
        Peer::RedisGet,
        Peer::RedisSet,
        Peer::RedisEcho,
        Peer::Erlang,
        Peer::Skynet,
        Peer::SkyringLua,
    ];

    /// Its name, for people and for the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Peer::BlockingEcho => "blocking-echo",
            Peer::BlockingStream => "blocking-stream",
            Peer::Glommio => "glommio",
            Peer::Uring => "io-uring",
            Peer::Tarpc => "tarpc",
            Peer::Tonic => "tonic",
            Peer::RedisGet => "redis-get",
            Peer::RedisSet => "redis-set",
            Peer::RedisEcho => "redis-echo",
            Peer::Erlang => "erlang",
            Peer::Skynet => "skynet",
            Peer::SkyringLua => "skyring-lua",
        }
    }

    /// The peer with that name.
    pub fn named(name: &str) -> Option<Peer> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// What is not equal to the others.
    pub const fn note(self) -> &'static str {
        match self {
            Peer::BlockingEcho => {
                "no headers, sessions or callees: bytes that come back in order; never spins"
            }
            Peer::BlockingStream => {
                "one way and never answered: a call is one write of the value; never spins"
            }
            Peer::Glommio => "a task per caller, a look-up of the callee; no names, deadlines or reconnects",
            Peer::Uring => "as glommio, without executor: callers are slots, not tasks",
            Peer::Tarpc => "bincode; deadlines as it comes; one thread each side; never spins",
            Peer::Tonic => "HTTP/2 and protobuf; one thread each side; never spins",
            Peer::RedisGet => {
                "a value only in the answer; calls in flight leave and return in one piece; never spins"
            }
            Peer::RedisSet => {
                "a value only in the request; calls in flight leave and return in one piece; never spins"
            }
            Peer::RedisEcho => "calls in flight leave and return in one piece; never spins",
            Peer::Erlang => {
                "one scheduler each side; spins as its runtime does by default if others spin at all"
            }
            Peer::Skynet => "one worker thread each side, beside its timer and socket threads; never spins",
            Peer::SkyringLua => "the services in Lua that `skynet` runs, on Skyring",
        }
    }

    /// Starts its server, measures, and ends what was started.
    ///
    /// # Errors
    /// [`PeerError`]; [`PeerError::Unavailable`] is no fault.
    pub fn measure(
        self,
        settings: &Settings,
        launcher: &Launcher,
        interrupt: &Interrupt,
    ) -> Result<Measured, PeerError> {
        match self {
            Peer::BlockingEcho => blocking::measure_echo(settings, launcher, interrupt),
            Peer::BlockingStream => blocking::measure_stream(settings, launcher, interrupt),
            Peer::Glommio => glommio::measure(settings, launcher, interrupt),
            Peer::Uring => uring::measure(settings, launcher, interrupt),
            #[cfg(feature = "peers")]
            Peer::Tarpc => tarpc::measure(settings, launcher, interrupt),
            #[cfg(feature = "peers")]
            Peer::Tonic => tonic::measure(settings, launcher, interrupt),
            #[cfg(not(feature = "peers"))]
            Peer::Tarpc | Peer::Tonic => Err(PeerError::Unavailable(
                "not in this program; `cargo build --release -p skyring-tools --features peers` builds it in"
                    .to_owned(),
            )),
            Peer::RedisGet => redis::measure(self, Test::Get, settings, launcher, interrupt),
            Peer::RedisSet => redis::measure(self, Test::Set, settings, launcher, interrupt),
            Peer::RedisEcho => redis::measure(self, Test::Echo, settings, launcher, interrupt),
            Peer::Erlang => erlang::measure(settings, launcher, interrupt),
            Peer::Skynet => skynet::measure(settings, launcher, interrupt),
            Peer::SkyringLua => skynet::measure_on_skyring(settings, launcher, interrupt),
        }
    }
}

/// Runs a client on a thread of its own, pinned to the client's processor.
fn on_client_thread<T: Send + 'static>(
    settings: &Settings,
    client: impl FnOnce(&Settings) -> Result<T, PeerError> + Send + 'static,
) -> Result<T, PeerError> {
    let settings = settings.clone();
    thread::Builder::new()
        .name("floor-client".to_owned())
        .spawn(move || {
            pin_this_thread(settings.client_cpu)?;
            client(&settings)
        })?
        .join()
        // Its panic has been printed.
        .unwrap_or_else(|_| Err(io::Error::other("the client panicked").into()))
}

/// The value that is sent: of the wanted size, and not all alike.
fn value(settings: &Settings) -> Vec<u8> {
    (0..settings.size)
        .map(|place| b'a' + (place % 26) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_found_by_its_own_name_and_says_what_is_not_equal() {
        for peer in Peer::ALL {
            assert_eq!(Peer::named(peer.name()), Some(peer));
            assert!(!peer.note().is_empty());
        }
        assert_eq!(Peer::named("skyring"), None);
    }
}
