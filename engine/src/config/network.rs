//! Networks of addresses in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: the addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// What a text that is no network should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network such as \"10.1.0.0/16\" or \"fd00::/8\", or one address")]
pub struct NetworkExpected;

impl Network {
    /// Whether an address is in the network. An IPv4 address that is mapped to IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                is_prefix_equal(u32::from(own).into(), u32::from(other).into(), 32, self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => is_prefix_equal(own.into(), other.into(), 128, self.bits),
            _ => false,
        }
    }
}

/// Whether two addresses of `width` bits have the same first `bits` bits.
fn is_prefix_equal(own: u128, other: u128, width: u32, bits: u8) -> bool {
    match width.saturating_sub(bits.into()) {
        // A shift by the whole width is no shift.
        128 => true,
        shift => own >> shift == other >> shift,
    }
}

impl FromStr for Network {
    type Err = NetworkExpected;

    /// Reads `10.1.0.0/16`, `fd00::/8` or a single address. Bits behind the prefix must be 0: with others it is not
    /// certain which network was meant.
    fn from_str(text: &str) -> Result<Network, NetworkExpected> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkExpected)?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| NetworkExpected)?
            }
            Some(_) => return Err(NetworkExpected),
        };
        if bits > width {
            return Err(NetworkExpected);
        }
        let value = match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => address.into(),
        };
        let behind = u32::from(width - bits);
        let is_exact = behind == 0 || value.trailing_zeros() >= behind || value == 0;
        match is_exact {
            true => Ok(Network { address, bits }),
            false => Err(NetworkExpected),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_that_has_its_first_bits() {
        for (network, inside, outside) in [
            (
                "10.1.0.0/16",
                &["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3"][..],
                &["10.2.0.0", "11.1.0.0", "::1"][..],
            ),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.2"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]),
            ("::/0", &["::1", "fd00::5"], &["1.2.3.4"]),
            ("fd00::/8", &["fd12:3456::1"], &["fe80::1"]),
            ("::1", &["::1"], &["::2"]),
        ] {
            let parsed: Network = network.parse().expect(network);
            for address in inside {
                assert!(
                    parsed.contains(address.parse().expect(address)),
                    "{address} in {network}"
                );
            }
            for address in outside {
                assert!(
                    !parsed.contains(address.parse().expect(address)),
                    "{address} in {network}"
                );
            }
        }
    }

    #[test]
    fn a_text_that_is_no_network_or_has_bits_behind_its_prefix_is_refused() {
        for text in [
            "",
            "/",
            "10.1.0.0/",
            "10.1.0.0/33",
            "10.1.0.0/-1",
            "10.1.0.0/+8",
            "10.1.0/16",
            "10.1.2.3/16",
            "fd00::1/8",
            "fd00::/129",
            "localhost",
            "10.1.0.0/16/8",
            " 10.1.0.0/16",
            "*",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkExpected), "{text}");
        }
    }
}
