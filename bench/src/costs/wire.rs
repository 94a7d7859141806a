//! Bytes that the TCP connections of a process have sent and received, as the kernel's socket statistics (`sock_diag`)
//! have them for every user.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The kernel's numbers: of this kind of socket, of the request, and of the parts of its answer.
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 72;
const INODE_AT: usize = 68;
const INFORMATION: u16 = 2;
/// In `struct tcp_info`.
const BYTES_ACKED_AT: usize = 120;
const BYTES_RECEIVED_AT: usize = 128;

/// Internet protocol 4 and 6, TCP, and the state of an open connection.
const FAMILIES: [u8; 2] = [2, 10];
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;

/// How long the kernel may take for an answer, and how many parts it may have.
const TIME_MAX: Duration = Duration::from_secs(1);
const PARTS_MAX: usize = 10_000;

/// Bytes sent (and acknowledged) and received by all open TCP connections of a process.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn bytes_of(process: u32) -> io::Result<(u64, u64)> {
    let inodes = inodes_of(process)?;
    let (mut sent, mut received) = (0, 0);
    for family in FAMILIES {
        let socket = Socket::new(
            Domain::from(AF_NETLINK),
            Type::DGRAM,
            Some(Protocol::from(NETLINK_SOCK_DIAG)),
        )?;
        socket.set_read_timeout(Some(TIME_MAX))?;
        socket.send(&request(family))?;
        let mut buffer = vec![0; 64 << 10];
        'parts: for _ in 0..PARTS_MAX {
            let read = (&socket).read(&mut buffer)?;
            let mut left = buffer.get(..read).unwrap_or_default();
            while let Some((kind, body, rest)) = message(left) {
                left = rest;
                match kind {
                    MESSAGE_DONE => break 'parts,
                    MESSAGE_ERROR => return Err(io::Error::other("the kernel has no statistics of sockets")),
                    _ => {}
                }
                if number_at(body, INODE_AT).is_some_and(|inode| inodes.contains(&inode))
                    && let Some((out, in_)) = bytes_in(body)
                {
                    sent += out;
                    received += in_;
                }
            }
        }
    }
    Ok((sent, received))
}

/// The numbers of a process's sockets.
fn inodes_of(process: u32) -> io::Result<HashSet<u32>> {
    let entries = fs::read_dir(format!("/proc/{process}/fd"))?;
    let inodes = entries.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let number = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        number.parse().ok()
    });
    Ok(inodes.collect())
}

/// The request for all open connections of a family with their information.
fn request(family: u8) -> Vec<u8> {
    const BYTES: usize = HEADER_BYTES + 56;
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(&(BYTES as u32).to_ne_bytes());
    bytes.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend_from_slice(&[family, TCP, 1 << (INFORMATION - 1), 0]);
    bytes.extend_from_slice(&ESTABLISHED.to_ne_bytes());
    bytes.resize(BYTES, 0);
    bytes
}

/// The first message of an answer: its kind, its body, and what comes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = number_at(bytes, 0)? as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, rest))
}

/// The counts in the information of a connection.
fn bytes_in(entry: &[u8]) -> Option<(u64, u64)> {
    let mut left = entry.get(ENTRY_BYTES..)?;
    loop {
        let length = u16::from_ne_bytes(left.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(left.get(2..4)?.try_into().ok()?);
        let data = left.get(4..length)?;
        if kind == INFORMATION {
            let count = |at: usize| Some(u64::from_ne_bytes(data.get(at..at + 8)?.try_into().ok()?));
            return Some((count(BYTES_ACKED_AT)?, count(BYTES_RECEIVED_AT)?));
        }
        left = left.get(length.next_multiple_of(4)..)?;
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_bytes_of_a_connection_are_those_of_both_its_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = bytes_of(std::process::id()).unwrap();
        near.write_all(&vec![1; 1_000_000 / 4]).unwrap();
        far.read_exact(&mut vec![0; 1_000_000 / 4]).unwrap();
        // Other tests of this process have connections as well, which only add to it.
        let after = bytes_of(std::process::id()).unwrap();
        assert!(
            after.1 >= before.1.min(after.1) && after.1 >= 250_000,
            "{before:?} {after:?}"
        );
    }

    #[test]
    fn an_answer_that_is_cut_is_none() {
        for bytes in [&b""[..], &[1, 2, 3], &[255; 16], &[16, 0, 0, 0]] {
            assert!(message(bytes).is_none(), "{bytes:?}");
        }
        assert_eq!(bytes_in(&[0; 80]), None);
        assert_eq!(bytes_in(&[0; 10]), None);
    }
}
