//! TLS 1.3 between nodes: certificates and their files, and the shell that a link's bytes pass through.
//!
//! - `files`: reading and checking the files of a certificate, its key and its CA;
//! - `identity`: what a node proves, and how it verifies others, as settings of rustls;
//! - `current`: the identity in force, which a reload replaces for later connections;
//! - `shell`: one connection, without I/O: bytes of the socket in, bytes of the link out, and the reverse;
//! - `fault`: why a connection ends.
//!
//! Invariants: nothing here knows a socket, a clock other than the system's date, or a thread; a private key is
//! never printed; what a peer sends before the handshake has ended is bounded in bytes, and so is what is kept after it.

mod current;
mod fault;
mod files;
// The fuzz target names what is in it.
pub(crate) mod identity;
mod shell;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use current::Tls;
pub(crate) use fault::{TLS_REASONS, TlsFault, TlsReason};
pub use files::{KEY_FILE_BYTES_MAX, TlsError, TlsFiles};
pub(crate) use shell::{Gate, Shell, ShellEvent};
pub use shell::{HANDSHAKE_BYTES_MAX, SEALED_BYTES_MAX};
