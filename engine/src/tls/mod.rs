//! TLS 1.3 between nodes, and toward clients of services: certificates and their files, and the shell that the bytes of a
//! connection pass through.
//!
//! - `files`: reading and checking the files of a certificate, its key and its CA;
//! - `identity`: what a node proves, and how it verifies others, as settings of rustls;
//! - `current`: the identity in force, which a reload replaces for later connections;
//! - `server`: the same of a server whose clients are no nodes, and what is counted of their connections;
//! - `shell`: one connection, without I/O: bytes of the socket in, what they say out, and the reverse;
//! - `fault`: why a connection ends.
//!
//! Invariants: nothing here knows a socket, a clock other than the system's date, or a thread; a private key is
//! never printed; what a peer sends before the handshake has ended is bounded in bytes, and so is what is kept after it.

mod current;
mod fault;
mod files;
// The fuzz target names what is in it.
pub(crate) mod identity;
mod server;
mod shell;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;

pub use current::Tls;
pub(crate) use fault::{TLS_REASONS, TlsFault, TlsReason};
pub use files::{KEY_FILE_BYTES_MAX, TlsError, TlsFiles};
pub use server::{ServerTls, ServerTlsCounts, ServerTlsFiles};
pub(crate) use shell::{Gate, Shell, ShellEvent};
pub use shell::{HANDSHAKE_BYTES_MAX, PREFACE_BYTES_MAX, Preface, SEALED_BYTES_MAX};
