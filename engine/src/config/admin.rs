//! Where a node serves its metrics and its dashboard, and who may see them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::address::NodeAddress;
use super::error::{ConfigError, ConfigErrorKind};
use super::keys::Keys;
use super::known::{ADMIN, ADMIN_TOKEN};

/// The shortest token, in bytes.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// The longest token, in bytes.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 1_024;

/// Where a node serves its metrics and its dashboard over HTTP. The token is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    address: SocketAddr,
    token: Option<Arc<Zeroizing<Vec<u8>>>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Admin")
            .field("address", &self.address)
            .field("has_token", &self.token.is_some())
            .finish()
    }
}

impl Admin {
    /// Serves on this address. Everybody who reaches it sees what the node tells of itself, so an address that is not of this
    /// machine alone needs a token, which clients send as `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    /// A text that says what is wrong with the address or the token.
    pub fn new(address: SocketAddr, token: Option<&[u8]>) -> Result<Admin, String> {
        if let Some(token) = token {
            check_token(token)?;
        } else if !address.ip().to_canonical().is_loopback() {
            return Err(format!(
                "{} can be reached from other machines, so admin_token must be set; or use 127.0.0.1",
                address.ip()
            ));
        }
        Ok(Admin {
            address,
            token: token.map(|token| Arc::new(Zeroizing::new(token.to_vec()))),
        })
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether clients need a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn token(&self) -> Option<&[u8]> {
        self.token.as_ref().map(|token| token.as_slice())
    }
}

/// A token travels in a header line.
fn check_token(token: &[u8]) -> Result<(), String> {
    let bytes = token.len();
    if !(ADMIN_TOKEN_BYTES_MIN..=ADMIN_TOKEN_BYTES_MAX).contains(&bytes) {
        return Err(format!(
            "a token of {bytes} bytes; {ADMIN_TOKEN_BYTES_MIN} to {ADMIN_TOKEN_BYTES_MAX} are possible. Make one with: openssl rand -hex 32"
        ));
    }
    match token.iter().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a token has only letters, digits and marks of ASCII, without spaces".to_owned()),
    }
}

/// Reads the address; the token was taken out of the entries before.
pub(super) fn read(keys: &Keys<'_>, token: Option<Zeroizing<Vec<u8>>>) -> Result<Option<Admin>, ConfigError> {
    let Some(text) = keys.text(ADMIN)? else {
        return match token {
            None => Ok(None),
            Some(_) => {
                let hint = "has no effect without admin: set admin = \"127.0.0.1:8100\", or remove this key";
                Err(ConfigError::of_key(
                    keys.path,
                    ADMIN_TOKEN,
                    ConfigErrorKind::Unsupported(hint),
                ))
            }
        };
    };
    let refused = |text: String| ConfigError::of_key(keys.path, ADMIN, ConfigErrorKind::Security(text));
    let address: NodeAddress = text
        .parse()
        .map_err(|_| refused("expected \"IP:PORT\", such as \"127.0.0.1:8100\"".to_owned()))?;
    let ip = match address.host() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().map_err(|_| {
            refused(format!(
                "{host:?} is no IP address; it is an address of this machine"
            ))
        })?,
    };
    let address = SocketAddr::new(ip, address.port());
    Admin::new(address, token.as_ref().map(|token| token.as_slice()))
        .map(Some)
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_alone_needs_no_token() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(Admin::new(address("127.0.0.1:1"), None).is_ok());
        assert!(Admin::new(address("[::1]:1"), None).is_ok());
        for open in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(Admin::new(address(open), None).is_err(), "{open}");
            assert!(Admin::new(address(open), Some(&[b'x'; 16])).is_ok(), "{open}");
        }
    }

    #[test]
    fn a_token_that_no_header_carries_or_that_is_guessed_soon_is_refused_and_none_is_printed() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        for token in [
            "",
            "short",
            "has a space in it",
            "line\nbreak-in-the-token",
            &"x".repeat(1_025),
        ] {
            let error = Admin::new(address, Some(token.as_bytes())).unwrap_err();
            assert!(token.is_empty() || !error.contains(token), "{error}");
        }
        let admin = Admin::new(address, Some(b"0123456789abcdef")).unwrap();
        assert!(!format!("{admin:?}").contains("0123"));
    }
}
