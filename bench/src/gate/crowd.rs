//! Many clients of a gate, on one thread and one ring: they send numbered packets and check the answers.
//!
//! A packet's body begins with the number of its client, its own number and a time; the answer must be the same bytes. So
//! a packet that is lost, doubled, out of order or changed is counted, in every measurement.
//!
//! The latency of an answer ends when the entry into the kernel returns that brought it. In an open loop it begins when
//! the packet was due, whether or not it could be sent then.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustls::ClientConfig;
use socket2::{Domain, Protocol, Socket, Type};

use super::framing::{Framing, Front, handshake, shaken};
use super::plan::GateError;
use super::tls::Secured;
use crate::interrupt::Interrupt;
use crate::latency::{histogram, nanoseconds};
use crate::ring::outbox::Outbox;
use crate::ring::sockets::{Event, Sockets};

/// Smallest body of a packet: its numbers and a time.
pub const PACKET_BYTES_MIN: usize = 16;

/// Clients that connect at the same time. Fewer than the gates' backlogs, so that no connection is refused by the kernel
/// and tried again after a second.
const CONNECTING_MAX: usize = 256;

/// Clients of one source address: much fewer than the system has ports for outgoing connections, since a search for a free one
/// takes longer the fewer are left.
const CLIENTS_PER_ADDRESS: usize = 10_000;

/// How long a measurement waits for any answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The longest sleep of the client program.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Sleeps shorter than this end too late.
const WAIT_MIN: Duration = Duration::from_micros(60);

/// Packets without an answer in an open loop, before it sends no more.
const UNANSWERED_MAX: u64 = 200_000;

/// Whom the clients connect to, and how.
#[derive(Debug, Clone)]
pub(super) struct CrowdSettings {
    pub(super) address: SocketAddr,
    pub(super) framing: Framing,
    /// The path of a websocket.
    pub(super) path: String,
    /// Bytes of a body.
    pub(super) size: usize,
    /// The TLS that they speak, if they do.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for the answer to its handshake.
    Shaking,
    Open,
    Ended,
}

struct Player {
    stage: Stage,
    tls: Option<Secured>,
    /// The beginning of a packet.
    partial: Vec<u8>,
    sent: u32,
    received: u32,
}

/// What went wrong, of all measurements so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Answers that were not the next that was expected.
    pub(super) wrong: u64,
    /// Clients whose connection has ended.
    pub(super) ended: u64,
}

/// What an open loop measured.
pub(super) struct OpenLoop {
    pub(super) latencies: Histogram<u64>,
    pub(super) sent: u64,
    /// It gave up, because too many packets had no answer.
    pub(super) has_given_up: bool,
}

/// Clients of a gate.
pub(super) struct Crowd {
    sockets: Sockets,
    table: Table,
    settings: CrowdSettings,
    interrupt: Interrupt,
    /// The second and third byte of the addresses that its clients have on loopback.
    network: [u8; 2],
}

/// Two bytes for the clients' addresses that crowds of this program and of earlier ones do not have, as far as that goes.
fn network() -> [u8; 2] {
    static CROWDS: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_add(CROWDS.fetch_add(7_919, Ordering::Relaxed));
    let [_, _, high, low] = number.to_be_bytes();
    // 127.0 has the addresses of servers.
    [high | 1, low]
}

/// The clients, apart from their sockets.
struct Table {
    players: Vec<Player>,
    framing: Framing,
    body: Vec<u8>,
    epoch: Instant,
    /// Packets without an answer, of the clients that have not ended.
    unanswered: u64,
    faults: Faults,
    /// The cause of the first fault.
    first_fault: Option<String>,
}

impl Table {
    /// Queues the next packet of a client, due at this time.
    fn send(&mut self, outbox: &mut Outbox, index: usize, due: Instant) {
        let Some(player) = self.players.get_mut(index) else {
            return;
        };
        let stamp = nanoseconds(due.saturating_duration_since(self.epoch));
        self.body[..4].copy_from_slice(&(index as u32).to_le_bytes());
        self.body[4..8].copy_from_slice(&player.sent.to_le_bytes());
        self.body[8..16].copy_from_slice(&stamp.to_le_bytes());
        player.sent = player.sent.wrapping_add(1);
        if player.stage == Stage::Ended {
            return;
        }
        self.unanswered += 1;
        match &mut player.tls {
            None => self.framing.write(outbox.queue(index), &self.body),
            Some(tls) => {
                let (mut packet, mut sealed) = (Vec::new(), Vec::new());
                self.framing.write(&mut packet, &self.body);
                // More waits for the handshake than there may be: the answers are missing then.
                let _ = tls.seal(&packet, &mut sealed);
                put(outbox, index, &sealed);
            }
        }
    }

    /// Checks an answer, and returns the time that its packet carried.
    fn check(&mut self, index: usize, body: &[u8]) -> Option<Instant> {
        let player = &mut self.players[index];
        let number =
            |range: std::ops::Range<usize>| Some(u32::from_le_bytes(body.get(range)?.try_into().ok()?));
        let stamp = body
            .get(8..16)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes);
        let is_right = body.len() == self.body.len()
            && number(0..4) == Some(index as u32)
            && number(4..8) == Some(player.received)
            && body[PACKET_BYTES_MIN..] == self.body[PACKET_BYTES_MIN..];
        if !is_right {
            self.faults.wrong += 1;
            let expected = player.received;
            self.first_fault.get_or_insert_with(|| {
                format!("client {index} waited for the answer to packet {expected} and got {body:02x?}")
            });
        }
        player.received = player.received.wrapping_add(1);
        self.unanswered = self.unanswered.saturating_sub(1);
        Some(self.epoch + Duration::from_nanos(stamp?))
    }

    /// Takes what came for a client; `answered` gets the time of each packet.
    fn receive(
        &mut self,
        outbox: &mut Outbox,
        index: usize,
        bytes: &[u8],
        answered: &mut impl FnMut(&mut Table, &mut Outbox, usize, Instant),
    ) -> io::Result<()> {
        let Some(tls) = &mut self.players[index].tls else {
            return self.receive_packets(outbox, index, bytes, answered);
        };
        let (mut said, mut answer) = (Vec::new(), Vec::new());
        tls.open(bytes, &mut said, &mut answer)?;
        put(outbox, index, &answer);
        self.receive_packets(outbox, index, &said, answered)
    }

    fn receive_packets(
        &mut self,
        outbox: &mut Outbox,
        index: usize,
        bytes: &[u8],
        answered: &mut impl FnMut(&mut Table, &mut Outbox, usize, Instant),
    ) -> io::Result<()> {
        let mut kept = std::mem::take(&mut self.players[index].partial);
        let mut rest = bytes;
        if !kept.is_empty() {
            kept.extend_from_slice(bytes);
            rest = &kept;
        }
        if self.players[index].stage == Stage::Shaking
            && let Some(length) = shaken(rest)?
        {
            self.players[index].stage = Stage::Open;
            rest = &rest[length..];
            self.send(outbox, index, Instant::now());
        }
        while self.players[index].stage == Stage::Open
            && let Front::Packet(start, end) = self.framing.front(rest)?
        {
            let (body, behind) = (&rest[start..end], &rest[end..]);
            if let Some(due) = self.check(index, body) {
                answered(self, outbox, index, due);
            }
            rest = behind;
        }
        if !rest.is_empty() {
            self.players[index].partial = rest.to_vec();
        }
        Ok(())
    }

    /// Has a client that opens its connection say something beside packets.
    fn say(&mut self, outbox: &mut Outbox, index: usize, bytes: &[u8]) -> io::Result<()> {
        match &mut self.players[index].tls {
            None => put(outbox, index, bytes),
            Some(tls) => {
                let mut sealed = Vec::new();
                tls.seal(bytes, &mut sealed)?;
                put(outbox, index, &sealed);
            }
        }
        Ok(())
    }

    /// The connection of a client has ended: nothing is waited for any more.
    fn end(&mut self, index: usize) {
        let player = &mut self.players[index];
        if player.stage != Stage::Ended {
            player.stage = Stage::Ended;
            let unanswered = player.sent.wrapping_sub(player.received);
            self.unanswered = self.unanswered.saturating_sub(u64::from(unanswered));
        }
        self.faults.ended += 1;
        self.first_fault
            .get_or_insert_with(|| format!("the connection of client {index} has ended"));
    }
}

fn put(outbox: &mut Outbox, index: usize, bytes: &[u8]) {
    if !bytes.is_empty() {
        outbox.queue(index).extend_from_slice(bytes);
    }
}

impl Crowd {
    pub(super) fn new(settings: CrowdSettings, interrupt: &Interrupt) -> io::Result<Crowd> {
        let table = Table {
            players: Vec::new(),
            framing: settings.framing,
            body: (0..settings.size)
                .map(|place| b'a' + (place % 26) as u8)
                .collect(),
            epoch: Instant::now(),
            unanswered: 0,
            faults: Faults::default(),
            first_fault: None,
        };
        Ok(Crowd {
            sockets: Sockets::new()?,
            table,
            settings,
            interrupt: interrupt.clone(),
            network: network(),
        })
    }

    /// What went wrong so far.
    pub(super) fn faults(&self) -> Faults {
        self.table.faults
    }

    /// The cause of the first fault.
    pub(super) fn first_fault(&self) -> Option<&str> {
        self.table.first_fault.as_deref()
    }

    /// One turn; `answered` gets each answered packet with its client and the time that it carried, and may send. Returns
    /// whether anything came.
    fn step(
        &mut self,
        wait: Duration,
        mut answered: impl FnMut(&mut Table, &mut Outbox, usize, Instant),
    ) -> Result<bool, GateError> {
        if self.interrupt.requested() {
            return Err(GateError::Interrupted);
        }
        let table = &mut self.table;
        let mut has_come = false;
        self.sockets.turn(wait.min(WAIT_MAX), |outbox, event| {
            has_come = true;
            match event {
                Event::Received(index, bytes) if index < table.players.len() => {
                    if let Err(error) = table.receive(outbox, index, bytes, &mut answered) {
                        table
                            .first_fault
                            .get_or_insert_with(|| format!("client {index}: {error}"));
                        outbox.close(index);
                    }
                }
                Event::Ended(index) if index < table.players.len() => table.end(index),
                _ => {}
            }
        })?;
        Ok(has_come)
    }

    /// Turns until `is_over`; fails after a long silence.
    fn run(
        &mut self,
        mut answered: impl FnMut(&mut Table, &mut Outbox, usize, Instant),
        is_over: impl Fn(&Table) -> bool,
    ) -> Result<(), GateError> {
        let mut heard = Instant::now();
        while !is_over(&self.table) {
            if self.step(WAIT_MAX, &mut answered)? {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE_MAX {
                let unanswered = self.table.unanswered;
                let cause = self.table.first_fault.clone().unwrap_or_default();
                return Err(GateError::Silence { unanswered, cause });
            }
        }
        Ok(())
    }

    fn open_socket(&self, number: usize) -> io::Result<TcpStream> {
        let address = self.settings.address;
        let source = number / CLIENTS_PER_ADDRESS;
        if source == 0 || !address.ip().is_loopback() || !address.is_ipv4() {
            return TcpStream::connect(address);
        }
        // Another address of loopback, which has all ports again. One of this crowd alone: ports of connections that have
        // ended are taken for a minute.
        let [high, low] = self.network;
        let source = IpAddr::from(Ipv4Addr::new(127, high, low, 1 + source as u8));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&address.into())?;
        Ok(socket.into())
    }

    /// Connects clients, and waits until the first packet of each is answered. Returns how long that took.
    pub(super) fn connect(&mut self, count: usize) -> Result<Duration, GateError> {
        let began = Instant::now();
        let (mut connected, mut heard) = (0, began);
        let request = handshake(&self.settings.address.to_string(), &self.settings.path);
        let (mut started, mut answers) = (0, 0);
        while connected < count {
            while started < count && started - connected < CONNECTING_MAX {
                let index = self.sockets.insert(self.open_socket(started)?)?;
                debug_assert_eq!(index, self.table.players.len());
                let is_websocket = self.settings.framing == Framing::WebSocket;
                self.table.players.push(Player {
                    stage: if is_websocket { Stage::Shaking } else { Stage::Open },
                    tls: self.settings.tls.as_ref().map(Secured::new).transpose()?,
                    partial: Vec::new(),
                    sent: 0,
                    received: 0,
                });
                match is_websocket {
                    true => self
                        .table
                        .say(&mut self.sockets.outbox, index, request.as_bytes())?,
                    false => self.table.send(&mut self.sockets.outbox, index, Instant::now()),
                }
                started += 1;
            }
            if self.step(WAIT_MAX, |_, _, _, _| answers += 1)? {
                heard = Instant::now();
            }
            let Faults { wrong, ended } = self.table.faults;
            connected = answers;
            if ended > 0 || wrong > 0 || heard.elapsed() > SILENCE_MAX {
                return Err(GateError::Connect {
                    connected,
                    cause: self
                        .table
                        .first_fault
                        .clone()
                        .unwrap_or_else(|| "the others are not answered".to_owned()),
                });
            }
        }
        Ok(began.elapsed())
    }

    /// Has each client send as many packets, `window` at a time without an answer. Returns how long that took.
    pub(super) fn packets(&mut self, each: u32, window: u32) -> Result<Duration, GateError> {
        let began = Instant::now();
        let clients = self.table.players.len();
        for index in 0..clients {
            for _ in 0..window.min(each) {
                self.table.send(&mut self.sockets.outbox, index, began);
            }
        }
        let mut left = vec![each.saturating_sub(window); clients];
        let answered = |table: &mut Table, outbox: &mut Outbox, index: usize, _: Instant| {
            if let Some(left) = left.get_mut(index).filter(|left| **left > 0) {
                *left -= 1;
                let now = table.epoch;
                table.send(outbox, index, now);
            }
        };
        self.run(answered, |table| table.unanswered == 0)?;
        Ok(began.elapsed())
    }

    /// A closed loop: each of `active` clients has `window` packets without an answer. The rate and the latencies are those
    /// after the warm-up.
    pub(super) fn closed_loop(
        &mut self,
        active: usize,
        window: u32,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<(f64, Histogram<u64>), GateError> {
        let began = Instant::now();
        for index in 0..active.min(self.table.players.len()) {
            for _ in 0..window {
                self.table.send(&mut self.sockets.outbox, index, Instant::now());
            }
        }
        let (start, end) = (began + warm_up, began + warm_up + duration);
        let mut latencies = histogram();
        let mut now = Instant::now();
        let mut heard = now;
        while now < end {
            let mut turn = None;
            let has_come = self.step(WAIT_MAX, |table, outbox, index, sent| {
                let now = *turn.get_or_insert_with(Instant::now);
                if now >= start && now < end {
                    latencies.saturating_record(nanoseconds(now.saturating_duration_since(sent)));
                }
                table.send(outbox, index, now);
            })?;
            now = turn.unwrap_or_else(Instant::now);
            if has_come {
                heard = now;
            } else if now - heard > SILENCE_MAX {
                break;
            }
        }
        self.run(|_, _, _, _| {}, |table| table.unanswered == 0)?;
        Ok((latencies.len() as f64 / duration.as_secs_f64(), latencies))
    }

    /// An open loop: `active` clients in turn send packets at a rate, whatever the answers do.
    pub(super) fn open_loop(
        &mut self,
        active: usize,
        rate: f64,
        warm_up: Duration,
        duration: Duration,
    ) -> Result<OpenLoop, GateError> {
        let active = active.min(self.table.players.len()).max(1);
        let began = Instant::now();
        let (start, end) = (began + warm_up, began + warm_up + duration);
        let mut open = OpenLoop {
            latencies: histogram(),
            sent: 0,
            has_given_up: false,
        };
        let due_at = |number: u64| began + Duration::from_secs_f64(number as f64 / rate);
        let (mut answers, mut next) = (0, began);
        while !open.has_given_up {
            let now = Instant::now();
            while next <= now && next < end {
                let index = (open.sent % active as u64) as usize;
                self.table.send(&mut self.sockets.outbox, index, next);
                open.sent += 1;
                next = due_at(open.sent);
            }
            if next >= end {
                break;
            }
            open.has_given_up = open.sent - answers > UNANSWERED_MAX;
            let wait = next.saturating_duration_since(now);
            let wait = if wait < WAIT_MIN {
                Duration::ZERO
            } else {
                wait - WAIT_MIN
            };
            self.open_step(wait, (start, end), &mut answers, &mut open.latencies)?;
        }
        let mut heard = Instant::now();
        while self.table.unanswered > 0 && heard.elapsed() < SILENCE_MAX {
            if self.open_step(WAIT_MAX, (start, end), &mut answers, &mut open.latencies)? {
                heard = Instant::now();
            }
        }
        Ok(open)
    }

    /// A turn of an open loop: records the latency of what was due in the measured time.
    fn open_step(
        &mut self,
        wait: Duration,
        (start, end): (Instant, Instant),
        answers: &mut u64,
        latencies: &mut Histogram<u64>,
    ) -> Result<bool, GateError> {
        let mut turn = None;
        self.step(wait, |_, _, _, due| {
            let now = *turn.get_or_insert_with(Instant::now);
            *answers += 1;
            if due >= start && due < end {
                latencies.saturating_record(nanoseconds(now.saturating_duration_since(due)));
            }
        })
    }

    /// Does nothing for a time but to take what comes.
    pub(super) fn idle(&mut self, time: Duration) -> Result<(), GateError> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.step(time.saturating_sub(began.elapsed()), |_, _, _, _| {})?;
        }
        Ok(())
    }

    /// Packets without an answer.
    pub(super) fn unanswered(&self) -> u64 {
        self.table.unanswered
    }
}
