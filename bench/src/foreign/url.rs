//! The URL of a target.

use std::fmt;
use std::str::FromStr;

/// What a target speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Redis's protocol, version 2.
    Redis,
    /// Skynet's cluster packages.
    Skynet,
    /// HTTP/1.1 without TLS.
    Http,
    /// A server that returns all bytes.
    TcpEcho,
}

impl Scheme {
    const ALL: [(&'static str, Scheme, Option<u16>); 4] = [
        ("redis", Scheme::Redis, Some(6_379)),
        ("skynet", Scheme::Skynet, None),
        ("http", Scheme::Http, Some(80)),
        ("tcp-echo", Scheme::TcpEcho, None),
    ];
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Scheme::ALL.iter().find(|(_, scheme, _)| scheme == self);
        formatter.write_str(known.map_or("", |(name, ..)| name))
    }
}

/// The URL of a target, as `redis://127.0.0.1:6379`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    /// What it speaks.
    pub scheme: Scheme,
    /// Its name or address, without the brackets of IPv6.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What comes after the port, without the first `/`.
    pub path: String,
}

impl TargetUrl {
    /// Host and port, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.authority())?;
        if self.path.is_empty() {
            return Ok(());
        }
        write!(formatter, "/{}", self.path)
    }
}

impl FromStr for TargetUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<TargetUrl, String> {
        let forms =
            "redis://HOST:PORT, skynet://HOST:PORT/SERVICE, http://HOST:PORT/PATH or tcp-echo://HOST:PORT";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("\"{text}\" is no target: expected {forms}"));
        };
        let known = Scheme::ALL.iter().find(|(name, ..)| *name == scheme);
        let Some(&(_, scheme, default_port)) = known else {
            let why = match scheme {
                "https" | "rediss" => "TLS is not measured",
                _ => "it is no protocol of the rig",
            };
            return Err(format!("{scheme}://: {why}; expected {forms}"));
        };
        if text
            .chars()
            .any(|character| character.is_control() || character == ' ')
        {
            return Err("a target has no spaces and no control characters; in a path write %20".to_owned());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("user names and passwords are not supported in a target".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(address) => {
                let Some((host, port)) = address.split_once(']') else {
                    return Err(format!(
                        "\"{authority}\": the bracket of the IPv6 address is not closed"
                    ));
                };
                (host, port.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(format!("\"{text}\" names no host: expected {forms}"));
        }
        let port = match (port, default_port) {
            (Some(port), _) => port
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("\"{port}\" is no port: expected 1 to 65535"))?,
            (None, Some(port)) => port,
            (None, None) => return Err(format!("\"{text}\" names no port: expected {forms}")),
        };
        Ok(TargetUrl {
            scheme,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_target_is_read_and_written() {
        for (text, scheme, host, port, path) in [
            ("redis://127.0.0.1:6379", Scheme::Redis, "127.0.0.1", 6_379, ""),
            ("redis://localhost", Scheme::Redis, "localhost", 6_379, ""),
            ("skynet://[::1]:2528/sdb", Scheme::Skynet, "::1", 2_528, "sdb"),
            ("http://host:8080/a/b?c=d", Scheme::Http, "host", 8_080, "a/b?c=d"),
            ("tcp-echo://127.0.0.1:7", Scheme::TcpEcho, "127.0.0.1", 7, ""),
        ] {
            let url: TargetUrl = text.parse().unwrap();
            assert_eq!(
                (url.scheme, &*url.host, url.port, &*url.path),
                (scheme, host, port, path)
            );
            assert_eq!(url.to_string().parse::<TargetUrl>().unwrap(), url);
        }
    }

    #[test]
    fn a_text_that_is_no_target_is_an_error_with_the_cause() {
        for (text, cause) in [
            ("127.0.0.1:6379", "is no target"),
            ("https://a:1/", "TLS is not measured"),
            ("gopher://a:1/", "no protocol of the rig"),
            ("redis://me:secret@a:1", "passwords are not supported"),
            ("tcp-echo://a", "names no port"),
            ("skynet:///sdb", "names no host"),
            ("http://a:0/", "is no port"),
            ("http://a:65536/", "is no port"),
            ("http://[::1:80/", "is not closed"),
            ("http://a:1/b c", "no spaces"),
        ] {
            let error = text.parse::<TargetUrl>().unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
