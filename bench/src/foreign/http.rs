//! HTTP/1.1: a GET, and where its answer ends.

use super::protocol::{ANSWER_BYTES_MAX, Answer};
use super::url::TargetUrl;

/// Longest status line and headers.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Longest line that says how long a chunk is.
const CHUNK_LINE_BYTES_MAX: usize = 1_024;

/// A GET of the path.
pub(super) fn request(url: &TargetUrl) -> Vec<u8> {
    format!(
        "GET /{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: skyring-bench/{}\r\nAccept: */*\r\n\r\n",
        url.path,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

pub(super) fn answer(received: &[u8]) -> Result<Option<Answer>, String> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let begun = BEGIN.len().min(received.len());
    if received.get(..begun) != BEGIN.get(..begun) {
        return Err("an answer of HTTP begins with HTTP/1".to_owned());
    }
    let Some(head_bytes) = find(received, b"\r\n\r\n", HEAD_BYTES_MAX) else {
        return if received.len() < HEAD_BYTES_MAX {
            Ok(None)
        } else {
            Err(format!("the headers are longer than {HEAD_BYTES_MAX} bytes"))
        };
    };
    let head = String::from_utf8_lossy(received.get(..head_bytes).unwrap_or_default());
    let body = received.get(head_bytes + 4..).unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status: u16 = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| format!("\"{status_line}\" has no status"))?;
    let (mut length, mut is_chunked) = (None, false);
    let mut closes = status_line.starts_with("HTTP/1.0");
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let number: usize = value
                .parse()
                .map_err(|_| format!("Content-Length \"{value}\" is no number"))?;
            if number > ANSWER_BYTES_MAX {
                return Err(format!("an answer is longer than {ANSWER_BYTES_MAX} bytes"));
            }
            length = Some(number);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.to_ascii_lowercase().ends_with("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            closes =
                value.eq_ignore_ascii_case("close") || closes && !value.eq_ignore_ascii_case("keep-alive");
        }
    }
    let body_bytes = match (status, is_chunked, length) {
        (100..=199 | 204 | 304, ..) => Some(0),
        (_, true, _) => chunks(body)?,
        (_, false, Some(length)) => (length <= body.len()).then_some(length),
        (_, false, None) => {
            return Err(
                "its answer has neither Content-Length nor chunks, so only its end would end it".to_owned(),
            );
        }
    };
    Ok(body_bytes.map(|bytes| Answer {
        bytes: head_bytes + 4 + bytes,
        error: match status {
            400..=499 => Some("http-4xx"),
            500.. => Some("http-5xx"),
            _ => None,
        },
        closes,
    }))
}

/// The bytes of a body in chunks, with their lengths and the trailer; `None` = more is to come.
fn chunks(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(line_bytes) = find(rest, b"\r\n", CHUNK_LINE_BYTES_MAX) else {
            return if rest.len() < CHUNK_LINE_BYTES_MAX {
                Ok(None)
            } else {
                Err("the length of a chunk has no end".to_owned())
            };
        };
        let line = String::from_utf8_lossy(rest.get(..line_bytes).unwrap_or_default());
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16)
            .ok()
            .filter(|length| *length <= ANSWER_BYTES_MAX)
            .ok_or_else(|| format!("\"{digits}\" is no length of a chunk"))?;
        at += line_bytes + 2;
        if length > 0 {
            at += length + 2;
            if at > body.len() {
                return Ok(None);
            }
            continue;
        }
        // The trailer: lines until an empty one.
        loop {
            let rest = body.get(at..).unwrap_or_default();
            let Some(line_bytes) = find(rest, b"\r\n", HEAD_BYTES_MAX) else {
                return Ok(None);
            };
            at += line_bytes + 2;
            if line_bytes == 0 {
                return Ok(Some(at));
            }
        }
    }
}

/// Where `mark` begins, if it ends within `bytes_max`.
fn find(bytes: &[u8], mark: &[u8], bytes_max: usize) -> Option<usize> {
    let bytes = bytes.get(..bytes.len().min(bytes_max)).unwrap_or_default();
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_body_does_wherever_it_is_cut() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: x\r\n\r\n",
        ] {
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                assert_eq!(answer(&bytes[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
            let two = [bytes, b"HTTP/1.1 200 OK\r\n"].concat();
            assert_eq!(answer(&two), Ok(Some(Answer::of(bytes.len()))), "{text:?}");
        }
    }

    #[test]
    fn errors_and_the_end_of_the_connection_are_seen() {
        let of = |text: &str| answer(text.as_bytes()).unwrap().unwrap();
        let missing = of("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!((missing.error, missing.closes), (Some("http-4xx"), true));
        let old = of("HTTP/1.0 500 Oh\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((old.error, old.closes), (Some("http-5xx"), true));
        assert!(!of("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").closes);
    }

    #[test]
    fn bytes_of_another_protocol_are_errors() {
        for text in [
            "-ERR unknown command\r\n",
            "HTTP/2 200\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert!(answer(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(answer(&[b"HTTP/1.1 ".as_slice(), &[b'x'; HEAD_BYTES_MAX]].concat()).is_err());
    }
}
