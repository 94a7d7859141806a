//! One TLS connection, without I/O: the shell between a socket and a link, or a service that serves clients.
//!
//! Bytes of the socket go in with [`Shell::open`], which gives what they say; bytes of the link go in with
//! [`Shell::seal`], and [`Shell::gather`] shows what is to be written. The shell of an acceptor first looks whether the
//! peer speaks TLS at all.
//!
//! Invariants: nothing of the link is sealed, and nothing of the peer comes out, before the handshake has ended; the
//! peer is verified when it ends, also where it resumes an earlier one; before that at most [`HANDSHAKE_BYTES_MAX`]
//! are accepted, and [`PREFACE_BYTES_MAX`] of what may come before it; at most [`SEALED_BYTES_MAX`] of the link's output
//! are kept; after a fault nothing comes out.

use std::io::{self, BufRead as _, IoSlice, Write};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, HandshakeKind, ServerConnection};

use super::fault::{TlsFault, TlsReason};
use super::identity::{Identity, PROTOCOL, dns_names};
use super::server::{ServerIdentity, Unfinished};

/// Bytes that a peer may send before the handshake has ended: its hello, and its certificates.
pub const HANDSHAKE_BYTES_MAX: usize = 32 << 10;

/// Bytes of one connection that are encrypted and wait for the socket.
pub const SEALED_BYTES_MAX: usize = 64 << 10;

/// Bytes that a client may send before TLS begins, where something comes before it.
pub const PREFACE_BYTES_MAX: usize = 2 << 10;

/// What comes before TLS in what a client sends, such as the header of a load balancer. It is given all bytes so far, and
/// returns how many of them come before TLS, or `None` while that cannot be told.
pub type Preface = fn(&[u8]) -> Option<usize>;

/// Slices of one write, as many as rustls gives.
const SLICES_MAX: usize = 64;

/// The first byte of a TLS connection: a record with a part of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Bytes that tell TLS from the skynet dialect: a package that begins with them cannot be the first one of a connection.
const TELLING_BYTES: usize = 3;

enum Stage {
    /// A server waits for the end of what comes before TLS.
    Preface(Preface),
    /// An acceptor waits for the bytes that tell whether the peer speaks TLS.
    Undecided(Gate),
    /// The peer does not speak TLS: what comes is passed on as it is.
    Plain,
    Handshaking,
    Open,
    Failed(TlsFault),
}

/// Whom an acceptor lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Those who speak TLS. The first byte of others tells.
    Tls,
    /// Those who do not, too, because they are Skynet nodes: their packages may begin with the same byte.
    TlsOrPlain,
    /// As [`Gate::Tls`]; and for others there is no answer, so that they are a fault.
    TlsOnly,
}

/// Who the peer must be.
enum Peer {
    /// A node; a dialler must reach the one of this name.
    Node {
        identity: Arc<Identity>,
        name: Option<ServerName<'static>>,
    },
    /// A client of a server.
    Client(Arc<ServerIdentity>),
}

/// What happened in a connection while bytes of the socket were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShellEvent {
    /// The peer speaks TLS.
    Begun,
    /// It does not.
    Plain,
    /// The handshake has ended, in full.
    Verified,
    /// The handshake has ended: it resumed an earlier one.
    Resumed,
}

/// One TLS connection; see the module.
pub(crate) struct Shell {
    tls: Connection,
    peer: Peer,
    stage: Stage,
    /// What has come before it is known whether it is TLS.
    early: Vec<u8>,
    /// Bytes that came before the handshake has ended.
    handshake_bytes: usize,
    /// The names that the peer's certificate is for.
    peer_names: Vec<String>,
    /// Nothing more is written: not even an alert can say why.
    is_mute: bool,
    /// The peer has said that nothing follows.
    has_goodbye: bool,
    /// Bytes of output that were sealed and are not written; at most those that there are.
    sealed: usize,
    events: Vec<ShellEvent>,
}

impl Shell {
    /// The shell of a dialler, which must reach the node of this name.
    ///
    /// # Errors
    /// A text that says why no certificate can be for that name.
    pub(crate) fn dialler(identity: &Arc<Identity>, node: &str) -> Result<Shell, String> {
        let name = ServerName::try_from(node.to_owned()).map_err(|_| {
            format!(
                "{node:?} cannot be the name of a certificate: with TLS the names of nodes are letters, digits, '-', '_' \
                 and '.'"
            )
        })?;
        let tls = ClientConnection::new(Arc::clone(&identity.client), name.clone());
        let tls = tls.map_err(|error| error.to_string())?;
        let (identity, name) = (Arc::clone(identity), Some(name));
        Ok(Shell::new(
            Peer::Node { identity, name },
            tls.into(),
            Stage::Handshaking,
        ))
    }

    /// The shell of an acceptor.
    ///
    /// # Errors
    /// A text of rustls.
    pub(crate) fn acceptor(identity: &Arc<Identity>, gate: Gate) -> Result<Shell, String> {
        let tls = ServerConnection::new(Arc::clone(&identity.server)).map_err(|error| error.to_string())?;
        let (identity, name) = (Arc::clone(identity), None);
        Ok(Shell::new(
            Peer::Node { identity, name },
            tls.into(),
            Stage::Undecided(gate),
        ))
    }

    /// The shell of a server whose clients are no nodes. What comes before TLS, if anything does, comes out as it is, and
    /// apart from what follows.
    ///
    /// # Errors
    /// A text of rustls.
    pub(crate) fn server(identity: Arc<ServerIdentity>, preface: Option<Preface>) -> Result<Shell, String> {
        let tls = ServerConnection::new(Arc::clone(&identity.config)).map_err(|error| error.to_string())?;
        let stage = preface.map_or(Stage::Undecided(Gate::TlsOnly), Stage::Preface);
        Ok(Shell::new(Peer::Client(identity), tls.into(), stage))
    }

    fn new(peer: Peer, mut tls: Connection, stage: Stage) -> Shell {
        tls.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Shell {
            tls,
            peer,
            stage,
            early: Vec::new(),
            handshake_bytes: 0,
            peer_names: Vec::new(),
            is_mute: false,
            has_goodbye: false,
            sealed: 0,
            events: Vec::new(),
        }
    }

    /// What has happened since the last call.
    pub(crate) fn next_event(&mut self) -> Option<ShellEvent> {
        match self.events.is_empty() {
            true => None,
            false => Some(self.events.remove(0)),
        }
    }

    /// Whether the handshake has not ended.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(
            self.stage,
            Stage::Preface(_) | Stage::Undecided(_) | Stage::Handshaking
        )
    }

    /// Whether bytes pass as they are.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.stage, Stage::Plain)
    }

    /// Whether the peer has said that nothing follows.
    pub(crate) fn has_goodbye(&self) -> bool {
        self.has_goodbye
    }

    /// Why the connection must end, if it must.
    pub(crate) fn fault(&self) -> Option<&TlsFault> {
        match &self.stage {
            Stage::Failed(fault) => Some(fault),
            _ => None,
        }
    }

    /// The names that the verified certificate of the peer is for.
    pub(crate) fn peer_names(&self) -> &[String] {
        &self.peer_names
    }

    // ---- from the socket to the link ----

    /// Takes bytes of the socket, and appends what they say to `out`, at most `bytes_max`. Done when it says so: then
    /// `chunk` is empty, and everything that it said has come out, or there is a [`Shell::fault`]. What comes before TLS
    /// comes out whole, so `bytes_max` is at least [`PREFACE_BYTES_MAX`] where something may.
    pub(crate) fn open(&mut self, chunk: &mut &[u8], out: &mut BytesMut, bytes_max: usize) -> bool {
        if let Stage::Preface(preface) = self.stage {
            self.take_preface(preface, chunk, out);
            return chunk.is_empty() || self.fault().is_some();
        }
        if let Stage::Undecided(gate) = self.stage {
            self.decide(gate, chunk);
        }
        let early = match self.stage {
            Stage::Undecided(_) | Stage::Failed(_) => return true,
            _ => std::mem::take(&mut self.early),
        };
        if self.is_plain() {
            out.extend_from_slice(&early);
            let count = chunk.len().min(bytes_max.saturating_sub(early.len()));
            let (taken, rest) = chunk.split_at(count);
            out.extend_from_slice(taken);
            *chunk = rest;
            return rest.is_empty();
        }
        let mut early = &early[..];
        self.take_records(&mut early);
        loop {
            if self.take_plaintext(out, bytes_max) {
                return false;
            }
            if chunk.is_empty() || self.fault().is_some() {
                return true;
            }
            self.take_records(chunk);
        }
    }

    /// Looks for the end of what comes before TLS, and takes as much.
    fn take_preface(&mut self, preface: Preface, chunk: &mut &[u8], out: &mut BytesMut) {
        let known = self.early.len();
        let room = PREFACE_BYTES_MAX - known;
        self.early.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match preface(&self.early) {
            Some(count) => {
                self.early.truncate(count);
                let taken = self.early.len().saturating_sub(known);
                *chunk = &chunk[taken..];
                out.extend_from_slice(&std::mem::take(&mut self.early));
                self.stage = Stage::Undecided(Gate::TlsOnly);
            }
            None if self.early.len() >= PREFACE_BYTES_MAX => {
                self.stage = Stage::Failed(TlsFault::new(TlsReason::NotTls));
            }
            None => *chunk = &[],
        }
    }

    /// Decides whether the peer speaks TLS, if enough has come to tell.
    fn decide(&mut self, gate: Gate, chunk: &mut &[u8]) {
        let telling = match gate {
            Gate::Tls | Gate::TlsOnly => 1,
            Gate::TlsOrPlain => TELLING_BYTES,
        };
        let (taken, rest) = chunk.split_at(chunk.len().min(telling - self.early.len()));
        self.early.extend_from_slice(taken);
        *chunk = rest;
        let is_tls = match self.early[..] {
            [first] if gate != Gate::TlsOrPlain => first == HANDSHAKE_RECORD,
            [first, major, minor] => first == HANDSHAKE_RECORD && major == 3 && (1..=4).contains(&minor),
            _ => return,
        };
        let (stage, event) = match is_tls {
            true => (Stage::Handshaking, ShellEvent::Begun),
            false if gate == Gate::TlsOnly => {
                self.stage = Stage::Failed(TlsFault::new(TlsReason::NotTls));
                return;
            }
            false => (Stage::Plain, ShellEvent::Plain),
        };
        self.stage = stage;
        self.events.push(event);
    }

    /// Moves plaintext out; returns whether there may be more than there is room for.
    fn take_plaintext(&mut self, out: &mut BytesMut, bytes_max: usize) -> bool {
        if !self.is_open() {
            return false;
        }
        loop {
            let room = bytes_max.saturating_sub(out.len());
            if room == 0 {
                return true;
            }
            let mut reader = self.tls.reader();
            // An error means that there is nothing, and an empty slice that there will be nothing.
            let Ok(plaintext @ [_, ..]) = reader.fill_buf() else {
                return false;
            };
            let count = plaintext.len().min(room);
            out.extend_from_slice(&plaintext[..count]);
            reader.consume(count);
        }
    }

    /// Takes the next bytes of the socket: some, not always all.
    fn take_records(&mut self, input: &mut &[u8]) {
        if input.is_empty() {
            return;
        }
        // After the peer's last record, which says so, nothing is taken; nor is it where there is no room, which cannot
        // be, since all plaintext was taken out before.
        let Ok(count @ 1..) = self.tls.read_tls(input) else {
            *input = &[];
            return;
        };
        let before = self.handshake_bytes;
        let is_handshaking = matches!(self.stage, Stage::Handshaking);
        if is_handshaking {
            self.handshake_bytes += count;
            if self.handshake_bytes > HANDSHAKE_BYTES_MAX {
                self.stage = Stage::Failed(TlsFault::new(TlsReason::TooLong));
                return;
            }
        }
        match self.tls.process_new_packets() {
            Err(error) => self.stage = Stage::Failed(TlsFault::of(&error, before < RECORD_HEADER_BYTES)),
            Ok(state) => {
                self.has_goodbye |= state.peer_has_closed();
                if is_handshaking && !self.tls.is_handshaking() {
                    self.finish();
                }
            }
        }
    }

    /// The handshake has ended: looks who the peer is.
    fn finish(&mut self) {
        let is_resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let verified = self.verify(is_resumed);
        self.stage = match verified {
            Ok(names) => {
                self.peer_names = names;
                self.events.push(match is_resumed {
                    true => ShellEvent::Resumed,
                    false => ShellEvent::Verified,
                });
                Stage::Open
            }
            Err(fault) => {
                // To the peer the handshake went well, and there is no alert for what comes after it.
                self.is_mute = true;
                Stage::Failed(fault)
            }
        };
    }

    /// Who the peer is. A resumed handshake shows no certificate: it may have expired since, so it is verified again.
    fn verify(&self, is_resumed: bool) -> Result<Vec<String>, TlsFault> {
        let chain = self.tls.peer_certificates().unwrap_or_default();
        let (identity, name) = match &self.peer {
            Peer::Node { identity, name } => (identity, name),
            Peer::Client(identity) => {
                if is_resumed {
                    identity.verify(chain)?;
                }
                return Ok(chain.first().and_then(dns_names).unwrap_or_default());
            }
        };
        if is_resumed {
            match name {
                Some(name) => identity.verify_acceptor(chain, name)?,
                None => identity.verify_dialler(chain)?,
            }
        }
        if self.tls.alpn_protocol() != Some(PROTOCOL) {
            return Err(TlsFault::other_protocol());
        }
        let names = chain.first().and_then(dns_names);
        names.ok_or_else(|| TlsFault::new(TlsReason::NoCertificate))
    }

    // ---- from the link to the socket ----

    /// Encrypts output of the link; returns how many bytes it has taken, 0 before the handshake has ended and when too
    /// many wait for the socket.
    pub(crate) fn seal(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if !self.is_open() {
            return 0;
        }
        let count = self.tls.writer().write_vectored(slices).unwrap_or_default();
        self.sealed += count;
        count
    }

    /// Says that nothing follows, behind what is sealed. Before the end of the handshake there is nobody to tell.
    pub(crate) fn say_goodbye(&mut self) {
        match self.is_open() {
            true => self.tls.send_close_notify(),
            false => self.is_mute = true,
        }
    }

    /// Whether the link's output can be sealed.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Whether there is something to write.
    pub(crate) fn has_output(&self) -> bool {
        !self.is_mute && self.tls.wants_write()
    }

    /// Shows what is to be written next: at most 64 slices, and exactly as many if `has_more` or if there may be more.
    pub(crate) fn gather(&mut self, has_more: bool, write: &mut dyn FnMut(&[IoSlice<'_>])) {
        if self.has_output() {
            // What became of it is said later, so nothing is taken now.
            let _ = self.tls.write_tls(&mut Shown { has_more, write });
        }
    }

    /// Removes bytes that were written. Returns how many bytes of sealed output they held: until all is written, about as
    /// many as were written.
    pub(crate) fn wrote(&mut self, bytes: usize) -> usize {
        let mut written = Written(bytes);
        while written.0 > 0 && matches!(self.tls.write_tls(&mut written), Ok(1..)) {}
        let freed = match self.tls.wants_write() {
            true => bytes.min(self.sealed),
            false => self.sealed,
        };
        self.sealed -= freed;
        freed
    }

    // ---- what is counted of a server's clients ----

    /// Counts the end of the handshake, or a fault.
    pub(crate) fn count_event(&self, event: ShellEvent) {
        let Peer::Client(identity) = &self.peer else {
            return;
        };
        match event {
            ShellEvent::Verified => identity.counters.count_handshake(false),
            ShellEvent::Resumed => identity.counters.count_handshake(true),
            ShellEvent::Begun | ShellEvent::Plain => {}
        }
    }

    /// Counts how the connection has ended, when that was not in order. `by_peer`: this side had not closed it.
    pub(crate) fn count_end(&self, by_peer: bool) {
        let Peer::Client(identity) = &self.peer else {
            return;
        };
        match &self.stage {
            Stage::Failed(fault) => identity.counters.count_fault(fault.reason),
            Stage::Open if by_peer && !self.has_goodbye => {
                identity.counters.count_unfinished(Unfinished::Truncated);
            }
            Stage::Open | Stage::Plain => {}
            Stage::Preface(_) | Stage::Undecided(_) | Stage::Handshaking => {
                identity.counters.count_unfinished(match by_peer {
                    true => Unfinished::Abandoned,
                    false => Unfinished::ClosedEarly,
                });
            }
        }
    }
}

/// The header of a record: that of the first one tells whether it is TLS.
const RECORD_HEADER_BYTES: usize = 5;

/// Shows slices, and takes none of them.
struct Shown<'a> {
    has_more: bool,
    write: &'a mut dyn FnMut(&[IoSlice<'_>]),
}

impl Write for Shown<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.has_more && slices.len() < SLICES_MAX {
            // With all slices, the rest of them empty, the stream asks for more at once.
            let mut all = [IoSlice::new(&[]); SLICES_MAX];
            all[..slices.len()].copy_from_slice(slices);
            (self.write)(&all);
        } else {
            (self.write)(slices);
        }
        Ok(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes so many bytes.
struct Written(usize);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let count = bytes.min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
