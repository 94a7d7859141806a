//! The address of a node: a host and a port.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest host name that DNS allows, in bytes.
const HOST_BYTES_MAX: usize = 253;

/// Where a node listens: a host name, an IPv4 or an IPv6 address, and a port.
///
/// Parsed from `host:port`, `127.0.0.1:7102` or `[::1]:7102`; printed the same way. The host is not resolved
/// here. The error of parsing says, in words for an error message, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    host: String,
    port: u16,
}

impl NodeAddress {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1..=65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for NodeAddress {
    /// What was expected, as in "expected a port from 1 to 65535".
    type Err = &'static str;

    fn from_str(text: &str) -> Result<NodeAddress, &'static str> {
        let (host, port) = text.rsplit_once(':').ok_or("\"host:port\"")?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            Some(Some(inner)) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err("an IPv6 address in brackets, \"[::1]:port\""),
            None if host.contains(':') => return Err("\"host:port\", with an IPv6 host in brackets"),
            None => named_host(host)?,
        };
        // `parse` alone would accept "+80".
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(port) if digits && port > 0 => Ok(NodeAddress {
                host: host.to_owned(),
                port,
            }),
            _ => Err("\"host:port\" with a port from 1 to 65535"),
        }
    }
}

/// Accepts what can be a host name or an IPv4 address.
fn named_host(host: &str) -> Result<&str, &'static str> {
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !plain {
        return Err("\"host:port\" with a host name or an IP address");
    }
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err("\"host:port\" with an IPv4 address of four numbers from 0 to 255");
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_kind_are_kept_and_print_as_they_were() {
        for (text, host, port) in [
            ("127.0.0.1:7102", "127.0.0.1", 7102),
            ("0.0.0.0:65535", "0.0.0.0", 65535),
            ("localhost:1", "localhost", 1),
            (
                "db-1.game_zone.example.com:2528",
                "db-1.game_zone.example.com",
                2528,
            ),
            ("[::1]:7000", "::1", 7000),
            ("[fe80::2]:80", "fe80::2", 80),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            "db",
            ":",
            ":7102",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:+80",
            "127.0.0.1:-1",
            "127.0.0.1:80 ",
            " 127.0.0.1:80",
            "127.0.0.1 :80",
            "127.0.0.1:８０",
            "300.0.0.1:80",
            "1.2.3:80",
            "tcp://1.2.3.4:80",
            "$HOST:80",
            "::1:7000",
            "[::1]",
            "[::1:80",
            "[db]:80",
            "[]:80",
            "a\nb:80",
        ] {
            assert!(text.parse::<NodeAddress>().is_err(), "{text:?} was accepted");
        }
        assert!(
            format!("{}:80", "h".repeat(HOST_BYTES_MAX + 1))
                .parse::<NodeAddress>()
                .is_err()
        );
    }
}
