//! The address of a client behind a load balancer: the header of the PROXY protocol, version 2, in front of everything else.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, ParseError};

/// Most bytes of a header: addresses and what balancers add.
const HEADER_BYTES_MAX: usize = 1_024;

/// What stands in front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Preface {
    /// The header is not complete.
    Incomplete,
    /// It takes so many bytes, and names the client; `None`: the balancer itself is the client, as in a health check.
    Complete(usize, Option<SocketAddr>),
}

/// Looks for a header at the front of the bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Preface, String> {
    let header = match Header::try_from(bytes) {
        Ok(header) => header,
        Err(ParseError::Incomplete(_) | ParseError::Partial(..)) if bytes.len() <= HEADER_BYTES_MAX => {
            return Ok(Preface::Incomplete);
        }
        Err(error) => return Err(format!("a header of the PROXY protocol: {error}")),
    };
    let client = match (&header.command, &header.addresses) {
        (Command::Proxy, Addresses::IPv4(addresses)) => {
            Some((addresses.source_address, addresses.source_port).into())
        }
        (Command::Proxy, Addresses::IPv6(addresses)) => {
            Some((addresses.source_address, addresses.source_port).into())
        }
        _ => None,
    };
    Ok(Preface::Complete(header.header.len(), client))
}

/// How many bytes of what a client sends come before TLS. Bytes that are no header all do, and [`parse`] refuses them.
pub(super) fn preface(bytes: &[u8]) -> Option<usize> {
    match parse(bytes) {
        Ok(Preface::Incomplete) => None,
        Ok(Preface::Complete(count, _)) => Some(count),
        Err(_) => Some(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x01\0\0\x50";

    #[test]
    fn a_header_names_the_client_once_it_is_complete() {
        let client = "10.1.2.3:256".parse().ok();
        for length in 0..HEADER.len() {
            assert_eq!(parse(&HEADER[..length]), Ok(Preface::Incomplete), "{length}");
        }
        assert_eq!(parse(HEADER), Ok(Preface::Complete(HEADER.len(), client)));
        let mut followed = HEADER.to_vec();
        followed.extend(b"\0\x01x");
        assert_eq!(parse(&followed), Ok(Preface::Complete(HEADER.len(), client)));
        let mut check = HEADER.to_vec();
        check[12] = 0x20;
        assert_eq!(parse(&check), Ok(Preface::Complete(HEADER.len(), None)));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(parse(b"GET / HTTP/1.1\r\n").is_err());
        assert!(parse(b"\0\x03one").is_err());
        assert!(parse(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n").is_err());
    }
}
