//! A server to measure: where it is, and what it is asked.

use bytes::Bytes;

use super::error::TargetError;
use super::protocol::Protocol;
use super::url::{Scheme, TargetUrl};
use super::{http, probe, redis};

/// A server to measure.
#[derive(Debug, Clone)]
pub struct Target {
    url: TargetUrl,
    protocol: Protocol,
    request: Bytes,
    /// What is asked, after the URL in a report.
    asked: String,
    size: usize,
}

impl Target {
    /// The server at `url`. Redis gets the command `words`, or else ECHO with a value of `size` bytes, as the TCP echo
    /// does; HTTP gets a GET.
    ///
    /// # Errors
    /// A text with the cause: a URL of a node, words for a protocol without commands, a path where there is none.
    pub fn new(url: TargetUrl, size: usize, words: &[Vec<u8>]) -> Result<Target, String> {
        if url.scheme != Scheme::Redis && !words.is_empty() {
            return Err(format!(
                "{url} takes no arguments: only redis:// and skynet:// do"
            ));
        }
        if !matches!(url.scheme, Scheme::Http) && !matches!(&*url.path, "" | "0") {
            return Err(format!("{url}: only http:// and skynet:// have a path"));
        }
        let value = vec![b'x'; size];
        let (protocol, request, asked, size) = match url.scheme {
            Scheme::Redis if words.is_empty() => {
                let words: [&[u8]; 2] = [b"ECHO", &value];
                (
                    Protocol::Redis,
                    redis::request(words.into_iter()),
                    "ECHO".to_owned(),
                    size,
                )
            }
            Scheme::Redis => {
                let request = redis::request(words.iter().map(Vec::as_slice));
                let asked: Vec<_> = words
                    .iter()
                    .take(2)
                    .map(|word| String::from_utf8_lossy(word))
                    .collect();
                let size = words.iter().skip(1).map(Vec::len).sum();
                (Protocol::Redis, request, asked.join(" "), size)
            }
            Scheme::Http => (Protocol::Http, http::request(&url), "GET".to_owned(), 0),
            Scheme::TcpEcho if size == 0 => {
                return Err("an echo needs a value of at least one byte".to_owned());
            }
            Scheme::TcpEcho => (
                Protocol::Echo(value.clone().into()),
                value,
                "echo".to_owned(),
                size,
            ),
            Scheme::Skynet => return Err(format!("{url} is a node, and is called as a node")),
        };
        Ok(Target {
            url,
            protocol,
            request: request.into(),
            asked,
            size,
        })
    }

    /// Where it is.
    pub fn url(&self) -> &TargetUrl {
        &self.url
    }

    /// Where it is and what it is asked, for a report.
    pub fn called(&self) -> String {
        format!("{} {}", self.url, self.asked)
    }

    /// Size of the value in bytes: what is sent, or for HTTP what is received, which is known after [`probe`](Self::probe).
    pub fn size(&self) -> usize {
        self.size
    }

    /// Makes one request on a connection of its own, to find out at once whether the server answers it.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn probe(&mut self) -> Result<(), TargetError> {
        let answer_bytes = probe::probe(self)?;
        if self.url.scheme == Scheme::Http {
            self.size = answer_bytes;
        }
        Ok(())
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The bytes of each request.
    pub(crate) fn request(&self) -> &Bytes {
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, words: &[&str]) -> Result<Target, String> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Target::new(url.parse().unwrap(), 3, &words)
    }

    #[test]
    fn each_protocol_has_its_request() {
        let request = |url, words: &[&str]| {
            let target = target(url, words).unwrap();
            (
                String::from_utf8(target.request().to_vec()).unwrap(),
                target.called(),
                target.size(),
            )
        };
        let (bytes, called, size) = request("redis://h:1", &[]);
        assert_eq!(
            (&*bytes, &*called, size),
            ("*2\r\n$4\r\nECHO\r\n$3\r\nxxx\r\n", "redis://h:1 ECHO", 3)
        );
        let (bytes, called, size) = request("redis://h:1", &["SET", "a", "bc"]);
        assert_eq!(bytes, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nbc\r\n");
        assert_eq!((&*called, size), ("redis://h:1 SET a", 3));
        assert!(
            request("http://h:1/a?b", &[])
                .0
                .starts_with("GET /a?b HTTP/1.1\r\nHost: h:1\r\n")
        );
        assert_eq!(request("tcp-echo://h:1", &[]).0, "xxx");
    }

    #[test]
    fn what_a_protocol_has_no_use_for_is_refused() {
        for (url, words, cause) in [
            ("http://h:1/", &["a"][..], "takes no arguments"),
            ("tcp-echo://h:1/a", &[], "have a path"),
            ("redis://h:1/7", &[], "have a path"),
            ("skynet://h:1/a", &[], "have a path"),
        ] {
            let error = target(url, words).unwrap_err();
            assert!(
                error.contains(cause) || url.starts_with("skynet"),
                "{url}: {error}"
            );
        }
        assert!(Target::new("tcp-echo://h:1".parse().unwrap(), 0, &[]).is_err());
    }
}
