//! The attacks: each is a program of one thread that does what a client may not do, or may do only so much.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use super::super::framing::{Framing, handshake, shaken};
use crate::idle_thread::run_when_idle;

/// The address that the attacks come from.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 7));

/// Connections that an attack holds.
const HELD: usize = 200;

/// How often a second something is done with one of them: with each of them every 50 ms. Clients do not wait for each other, so
/// what they do is spread evenly.
const HELD_ACTS_PER_SECOND: u32 = 4_000;

/// How soon an attack notices that it is over.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Connections a second of `connects`.
const CONNECTS_PER_SECOND: u32 = 5_000;

/// Connections a second of the attacks that are closed for what they send.
const REFUSED_PER_SECOND: u32 = 500;

/// The settings of the gate: those of an operator who expects such clients.
const SETTINGS: &str = "handshake_ms=1000 clients_per_address=1000 packet_bytes=4096 waiting_bytes=65536";

/// What is done to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Clients send their first packet, or their handshake, byte by byte.
    SlowLoris,
    /// Clients send packets, and read no answer.
    NeverRead,
    /// Clients declare packets that are too long.
    Oversized,
    /// Clients send valid packets byte by byte.
    Fragmented,
    /// One address connects 5,000 times a second.
    Connects,
    /// Clients connect, begin, and are never heard of again.
    HalfOpen,
    /// Clients send frames of websockets that are wrong, or bytes that are none.
    Malformed,
}

/// What an attack did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// Connections that it made.
    pub connections: u64,
    /// Writes that were taken.
    pub writes: u64,
    /// Connections that the gate has closed.
    pub closed: u64,
}

impl Attempts {
    pub(super) fn add(&mut self, other: Attempts) {
        self.connections += other.connections;
        self.writes += other.writes;
        self.closed += other.closed;
    }
}

impl Attack {
    /// All of them.
    pub const ALL: [Attack; 7] = [
        Attack::SlowLoris,
        Attack::NeverRead,
        Attack::Oversized,
        Attack::Fragmented,
        Attack::Connects,
        Attack::HalfOpen,
        Attack::Malformed,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Attack::SlowLoris => "slow-loris",
            Attack::NeverRead => "never-read",
            Attack::Oversized => "oversized",
            Attack::Fragmented => "fragmented",
            Attack::Connects => "connects",
            Attack::HalfOpen => "half-open",
            Attack::Malformed => "malformed",
        }
    }

    /// The one with that name.
    pub fn named(name: &str) -> Option<Attack> {
        Attack::ALL.into_iter().find(|attack| attack.name() == name)
    }

    /// The settings of the gate that is attacked.
    pub(super) fn settings(self) -> String {
        let further = match self {
            Attack::HalfOpen => " idle_ms=1000",
            Attack::NeverRead => " bytes_per_second=32768",
            Attack::Connects => " clients_per_address=100",
            _ => "",
        };
        format!("{SETTINGS}{further}")
    }

    /// The counters of which one must count it; none where it does nothing that is forbidden.
    pub(super) fn counted_as(self, is_websocket: bool) -> &'static [&'static str] {
        match self {
            Attack::SlowLoris | Attack::HalfOpen => &["timed_out"],
            Attack::NeverRead => &["slow", "throttled"],
            Attack::Oversized => &["malformed"],
            Attack::Malformed if is_websocket => &["malformed"],
            Attack::Malformed => &["malformed", "timed_out"],
            Attack::Connects => &["refused_by_address"],
            Attack::Fragmented => &[],
        }
    }

    /// Attacks until `stop` is set.
    pub(super) fn run(
        self,
        target: SocketAddr,
        is_websocket: bool,
        path: &str,
        stop: &AtomicBool,
    ) -> io::Result<Attempts> {
        run_when_idle()?;
        let attacker = Attacker {
            target,
            request: is_websocket.then(|| handshake(&target.to_string(), path)),
            stop,
            attempts: Attempts::default(),
        };
        attacker.run(self)
    }
}

struct Attacker<'a> {
    target: SocketAddr,
    /// Of websockets.
    request: Option<String>,
    stop: &'a AtomicBool,
    attempts: Attempts,
}

/// A connection of an attack.
struct Held {
    socket: TcpStream,
    /// The place in what it sends.
    place: usize,
}

/// What stands on the wire for a packet of so many bytes.
fn packet(framing: Framing, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    framing.write(&mut out, &vec![b'x'; size]);
    out
}

/// Frames that are wrong, each in its own way: those of websockets, and for TCP lengths past the limit.
fn malformed(is_websocket: bool) -> Vec<&'static [u8]> {
    if !is_websocket {
        return vec![
            b"\xff\xff",
            b"\x10\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01",
        ];
    }
    vec![
        b"\x82\x02hi",
        b"\xc2\x80\0\0\0\0",
        b"\xa1\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x8f\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x81\x81\0\0\0\0\xff",
        b"\x88\x82\0\0\0\0\x03\xed",
        b"\x88\x81\0\0\0\0x",
        b"\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0",
    ]
}

impl Attacker<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn connect(&mut self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((SOURCE, 0)).into())?;
        socket.connect(&self.target.into())?;
        socket.set_tcp_nodelay(true)?;
        self.attempts.connections += 1;
        Ok(socket.into())
    }

    /// A connection whose handshake, if there is one, is over.
    fn open(&mut self) -> io::Result<TcpStream> {
        let mut socket = self.connect()?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        if let Some(request) = &self.request {
            socket.write_all(request.as_bytes())?;
            let (mut answer, mut part) = (Vec::new(), [0; 512]);
            while shaken(&answer)?.is_none() {
                match socket.read(&mut part)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => answer.extend_from_slice(&part[..count]),
                }
            }
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn framing(&self) -> Framing {
        match self.request {
            Some(_) => Framing::WebSocket,
            None => Framing::Length,
        }
    }

    /// Writes; false when the connection has ended.
    fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> bool {
        match socket.write(bytes) {
            Ok(_) => {
                self.attempts.writes += 1;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(_) => {
                self.attempts.closed += 1;
                false
            }
        }
    }

    /// Whether the gate has ended the connection; what it has sent is read.
    fn has_ended(&mut self, socket: &mut TcpStream) -> bool {
        let mut part = [0; 4_096];
        loop {
            match socket.read(&mut part) {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {}
            }
            self.attempts.closed += 1;
            return true;
        }
    }

    fn run(mut self, attack: Attack) -> io::Result<Attempts> {
        let framing = self.framing();
        match attack {
            Attack::SlowLoris => {
                let bytes = match &self.request {
                    Some(request) => request.clone().into_bytes(),
                    None => packet(framing, 1_000),
                };
                self.hold(false, |attacker, held| {
                    let byte = bytes[held.place % (bytes.len() - 1)];
                    held.place += 1;
                    !attacker.has_ended(&mut held.socket) && attacker.write(&mut held.socket, &[byte])
                });
            }
            Attack::NeverRead => {
                let bytes = packet(framing, 4_000);
                self.hold(true, |attacker, held| {
                    // Whole packets: what does not fit is not written at all, or the rest comes first.
                    let rest = bytes[held.place..].to_vec();
                    match held.socket.write(&rest) {
                        Ok(count) => {
                            attacker.attempts.writes += 1;
                            held.place = (held.place + count) % bytes.len();
                            true
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                        Err(_) => {
                            attacker.attempts.closed += 1;
                            false
                        }
                    }
                });
            }
            Attack::Fragmented => {
                // Short enough to be complete within the time for the first packet.
                let bytes = packet(framing, 4);
                self.hold(true, |attacker, held| {
                    let byte = bytes[held.place];
                    held.place = (held.place + 1) % bytes.len();
                    !attacker.has_ended(&mut held.socket) && attacker.write(&mut held.socket, &[byte])
                });
            }
            Attack::HalfOpen => {
                let bytes = packet(framing, 20);
                self.hold(true, |attacker, held| {
                    held.place += 1;
                    if held.place == 1 {
                        return attacker.write(&mut held.socket, &bytes);
                    }
                    !attacker.has_ended(&mut held.socket)
                });
            }
            Attack::Oversized => {
                let bytes = packet(framing, 5_000);
                self.refused(REFUSED_PER_SECOND, |_| bytes[..8].to_vec());
            }
            Attack::Malformed => {
                let cases = malformed(self.request.is_some());
                self.refused(REFUSED_PER_SECOND, |number| cases[number % cases.len()].to_vec());
            }
            Attack::Connects => self.connect_often(),
        }
        Ok(self.attempts)
    }

    /// Holds connections, and has `act` on one after the other; those for which it returns false are replaced.
    fn hold(&mut self, is_open: bool, mut act: impl FnMut(&mut Self, &mut Held) -> bool) {
        let mut places: Vec<Option<Held>> = (0..HELD).map(|_| None).collect();
        self.pace(HELD_ACTS_PER_SECOND, |attacker, number| {
            let place = &mut places[number % HELD];
            if let Some(held) = place {
                if !act(attacker, held) {
                    *place = None;
                }
                return;
            }
            let socket = match is_open {
                true => attacker.open(),
                false => attacker.connect().and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                }),
            };
            // Refused: again when it is its turn.
            *place = socket.ok().map(|socket| Held { socket, place: 0 });
        });
    }

    /// Opens connections at a rate, writes to each what `bytes` returns for its number, and waits for the end of each.
    fn refused(&mut self, per_second: u32, bytes: impl Fn(usize) -> Vec<u8>) {
        let mut waiting: VecDeque<TcpStream> = VecDeque::new();
        self.pace(per_second, |attacker, number| {
            if let Ok(mut socket) = attacker.open()
                && attacker.write(&mut socket, &bytes(number))
            {
                waiting.push_back(socket);
            }
            if waiting.len() > HELD
                && let Some(mut socket) = waiting.pop_front()
            {
                // One that the gate keeps until its time is over is closed here.
                attacker.has_ended(&mut socket);
            }
        });
    }

    /// Connects at a rate. The gate closes what is too much; the rest is held.
    fn connect_often(&mut self) {
        let mut held: VecDeque<TcpStream> = VecDeque::new();
        self.pace(CONNECTS_PER_SECOND, |attacker, _| {
            if let Ok(socket) = attacker.connect() {
                let _ = socket.set_nonblocking(true);
                held.push_back(socket);
            }
            // The oldest is looked at; one that is still open goes on being held.
            if held.len() >= 1_000
                && let Some(mut socket) = held.pop_front()
                && !attacker.has_ended(&mut socket)
            {
                held.push_back(socket);
            }
        });
        for socket in held {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Calls `act` so many times a second, and less often when it takes longer.
    fn pace(&mut self, per_second: u32, mut act: impl FnMut(&mut Self, usize)) {
        let began = Instant::now();
        let mut number = 0;
        while !self.is_over() {
            let due = began + Duration::from_secs(1) * number as u32 / per_second;
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                thread::sleep(early.min(SLEEP_MAX));
                continue;
            }
            act(self, number);
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        for attack in Attack::ALL {
            assert_eq!(Attack::named(attack.name()), Some(attack));
        }
        assert_eq!(Attack::named("none"), None);
    }
}
