//! Where a node exports its spans.

use std::fmt;
use std::str::FromStr;

use super::address::NodeAddress;
use super::error::{ConfigError, ConfigErrorKind};
use super::keys::Keys;
use super::known::OTLP;

/// What an endpoint is.
const EXPECTED: &str = "\"http://HOST:PORT\", such as \"http://127.0.0.1:4318\", with a path behind it where the collector has one";

/// The longest path of an endpoint, in bytes.
const OTLP_PATH_BYTES_MAX: usize = 1_024;

/// The collector to which a node exports its spans, with OTLP over HTTP.
///
/// Parsed from `http://HOST:PORT` or `http://HOST:PORT/PATH`, the base of the collector's addresses as in OpenTelemetry's
/// variable `OTEL_EXPORTER_OTLP_ENDPOINT`: spans go to `/v1/traces` below it. The host is not resolved here. The error of
/// parsing says what is wrong; in a build without the feature `otlp` every text is an error, which names the feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    address: NodeAddress,
    /// Where spans go.
    path: String,
}

impl Otlp {
    /// Host and port of the collector.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// The path to which spans are sent.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Otlp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.address, self.path)
    }
}

impl FromStr for Otlp {
    type Err = String;

    fn from_str(text: &str) -> Result<Otlp, String> {
        if !cfg!(feature = "otlp") {
            return Err(
                "this program was built without the export of spans; build it with the feature otlp: \
                 cargo build --release --features otlp"
                    .to_owned(),
            );
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(match text.strip_prefix("https://") {
                Some(_) => "spans are exported without TLS; name a collector of this machine or network as \
                            http://HOST:PORT, which forwards them with TLS"
                    .to_owned(),
                None => format!("expected {EXPECTED}"),
            });
        };
        let (address, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if address.contains('@') {
            return Err("a user or a password in the address has no effect; leave it out".to_owned());
        }
        let address = address
            .parse()
            .map_err(|expected| format!("expected {EXPECTED}; its address is {expected}"))?;
        if path.len() > OTLP_PATH_BYTES_MAX {
            return Err(format!(
                "a path of {} bytes; {OTLP_PATH_BYTES_MAX} are possible",
                path.len()
            ));
        }
        if !path.bytes().all(is_of_a_path) {
            return Err(format!("expected {EXPECTED}; a path has no query and no spaces"));
        }
        Ok(Otlp {
            address,
            path: format!("{}/v1/traces", path.trim_end_matches('/')),
        })
    }
}

/// Whether a path may have this byte: RFC 3986, section 3.3.
fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

/// Reads the endpoint.
pub(super) fn read(keys: &Keys<'_>) -> Result<Option<Otlp>, ConfigError> {
    let endpoint = keys.text(OTLP)?.map(|text| text.parse::<Otlp>());
    endpoint
        .transpose()
        .map_err(|text| ConfigError::of_key(keys.path, OTLP, ConfigErrorKind::Otlp(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "otlp")]
    fn an_endpoint_is_the_base_of_the_collectors_paths() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("http://[::1]:80/otlp", "http://[::1]:80/otlp/v1/traces"),
            (
                "http://tempo:4318/a/b%20c/",
                "http://tempo:4318/a/b%20c/v1/traces",
            ),
        ] {
            let endpoint: Otlp = text.parse().expect(text);
            assert_eq!(endpoint.to_string(), expected);
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn what_is_no_endpoint_is_refused_with_what_is_wrong() {
        let long = format!("http://a:1/{}", "x".repeat(OTLP_PATH_BYTES_MAX));
        for (text, part) in [
            ("127.0.0.1:4318", "expected \"http://HOST:PORT\""),
            ("grpc://127.0.0.1:4317", "expected \"http://HOST:PORT\""),
            ("HTTP://127.0.0.1:4318", "expected \"http://HOST:PORT\""),
            ("https://127.0.0.1:4318", "without TLS"),
            ("http://127.0.0.1", "its address is"),
            ("http://127.0.0.1/", "its address is"),
            ("http://:4318", "its address is"),
            ("http://127.0.0.1:0", "its address is"),
            ("http://127.0.0.1:4318x", "its address is"),
            ("http://user:password@host:4318", "a user or a password"),
            ("http://host:4318?a=b", "its address is"),
            ("http://host:4318/a?b=c", "no query"),
            ("http://host:4318/a b", "no spaces"),
            ("http://host:4318/a\r\nX: y", "no spaces"),
            ("http://host:4318/ä", "no spaces"),
            (&long, "are possible"),
        ] {
            let error = text.parse::<Otlp>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("password@"), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "otlp"))]
    fn a_build_without_the_export_names_the_feature() {
        let error = "http://127.0.0.1:4318".parse::<Otlp>().expect_err("no feature");
        assert!(error.contains("--features otlp"), "{error}");
    }
}
