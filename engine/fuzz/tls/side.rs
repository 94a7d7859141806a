//! What an end of a fuzzed conversation speaks with: a shell, or the client of a server, which is rustls itself.

use std::io::{BufRead as _, IoSlice, Write};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::entries::events::note_words;
use crate::tls::{SEALED_BYTES_MAX, Shell, ShellEvent};

/// See the module's page.
pub(super) trait Side {
    /// Takes bytes, and appends what they say to `out`, at most `bytes_max`; done when it says so.
    fn open(&mut self, chunk: &mut &[u8], out: &mut BytesMut, bytes_max: usize) -> bool;

    /// Seals bytes; how many it has taken.
    fn seal(&mut self, slices: &[IoSlice<'_>]) -> usize;

    /// Writes at most so many bytes.
    fn write(&mut self, way: &mut Vec<u8>, bytes_max: usize);

    /// Whether its handshake has ended well, and nothing failed after it.
    fn is_open(&self) -> bool;

    /// Whether something has failed.
    fn has_fault(&self) -> bool;

    /// Notes what has happened since the last call; whether a handshake was resumed.
    fn note_events(&mut self) -> bool;
}

impl Side for Shell {
    fn open(&mut self, chunk: &mut &[u8], out: &mut BytesMut, bytes_max: usize) -> bool {
        Shell::open(self, chunk, out, bytes_max)
    }

    fn seal(&mut self, slices: &[IoSlice<'_>]) -> usize {
        Shell::seal(self, slices)
    }

    fn write(&mut self, way: &mut Vec<u8>, bytes_max: usize) {
        let before = way.len();
        self.gather(bytes_max.is_multiple_of(2), &mut |slices| {
            for slice in slices {
                let room = bytes_max - (way.len() - before);
                way.extend_from_slice(&slice[..slice.len().min(room)]);
            }
        });
        let written = way.len() - before;
        assert!(written <= 2 * SEALED_BYTES_MAX);
        self.wrote(written);
    }

    fn is_open(&self) -> bool {
        Shell::is_open(self)
    }

    fn has_fault(&self) -> bool {
        self.fault().is_some()
    }

    fn note_events(&mut self) -> bool {
        if let Some(fault) = self.fault() {
            note_words("fault", &fault.reason);
        }
        let mut is_resumed = false;
        while let Some(event) = self.next_event() {
            is_resumed |= event == ShellEvent::Resumed;
            note_words("event", &event);
        }
        is_resumed
    }
}

/// The client of a server.
pub(super) struct Client {
    tls: ClientConnection,
    has_fault: bool,
}

impl Client {
    /// One that wants to reach a server.
    pub(super) fn new(config: &Arc<ClientConfig>, server: &str) -> Client {
        let name = ServerName::try_from(server.to_owned()).expect("a name");
        Client {
            tls: ClientConnection::new(Arc::clone(config), name).expect("a client"),
            has_fault: false,
        }
    }

    /// Moves plaintext out; whether there may be more.
    fn take_plaintext(&mut self, out: &mut BytesMut, bytes_max: usize) -> bool {
        let mut reader = self.tls.reader();
        while let Ok(plaintext @ [_, ..]) = reader.fill_buf() {
            let room = bytes_max - out.len();
            if room == 0 {
                return true;
            }
            let count = plaintext.len().min(room);
            out.extend_from_slice(&plaintext[..count]);
            reader.consume(count);
        }
        false
    }
}

impl Side for Client {
    fn open(&mut self, chunk: &mut &[u8], out: &mut BytesMut, bytes_max: usize) -> bool {
        loop {
            if self.has_fault {
                *chunk = &[];
                return true;
            }
            if self.take_plaintext(out, bytes_max) {
                return false;
            }
            let Ok(1..) = self.tls.read_tls(chunk) else {
                *chunk = &[];
                return true;
            };
            self.has_fault = self.tls.process_new_packets().is_err();
        }
    }

    fn seal(&mut self, slices: &[IoSlice<'_>]) -> usize {
        match self.is_open() {
            true => self.tls.writer().write_vectored(slices).unwrap_or_default(),
            false => 0,
        }
    }

    fn write(&mut self, way: &mut Vec<u8>, bytes_max: usize) {
        let mut limited = Limited(way, bytes_max);
        while limited.1 > 0 && matches!(self.tls.write_tls(&mut limited), Ok(1..)) {}
    }

    fn is_open(&self) -> bool {
        !self.has_fault && !self.tls.is_handshaking()
    }

    fn has_fault(&self) -> bool {
        self.has_fault
    }

    fn note_events(&mut self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// Room for so many bytes.
struct Limited<'a>(&'a mut Vec<u8>, usize);

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(self.1);
        self.0.extend_from_slice(&bytes[..count]);
        self.1 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
