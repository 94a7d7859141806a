//! The floors and peers by name, and what is not equal between them.

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
            Peer::BlockingEcho => "no headers, sessions or callees: bytes that return in order; never spins",
            Peer::BlockingStream => {
                "one way and never answered: a call is one write of the value; never spins"
            }
            Peer::Glommio => "a task per caller, a look-up of the callee; no names, deadlines or reconnects",
            Peer::Uring => "as glommio, without executor: callers are slots, not tasks",
            Peer::Tarpc => "bincode; deadlines by default; one thread each side; never spins",
            Peer::Tonic => "HTTP/2 and protobuf; one thread each side; never spins",
            Peer::RedisGet => {
                "a value only in the reply; calls in flight are sent and answered in one batch; never spins"
            }
            Peer::RedisSet => {
                "a value only in the request; calls in flight are sent and answered in one batch; never spins"
            }
            Peer::RedisEcho => "calls in flight are sent and answered in one batch; never spins",
            Peer::Erlang => {
                "one scheduler each side; spins as its runtime does by default if others spin at all"
            }
            Peer::Skynet => "one worker thread each side, beside its timer and socket threads; never spins",
            Peer::SkyringLua => "the services in Lua that `skynet` runs, on Skyring",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_found_by_its_own_name_and_has_a_note() {
        for peer in Peer::ALL {
            assert_eq!(Peer::named(peer.name()), Some(peer));
            assert!(!peer.note().is_empty());
        }
        assert_eq!(Peer::named("skyring"), None);
    }
}
