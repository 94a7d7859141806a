//! Requests of HTTP to the console: `GET /COMMAND`, where each `/` separates two words, and `POST /` with the command as
//! its body.

/// A request so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// The command of a complete request.
    Command(String),
    /// The status with which it is refused.
    Invalid(&'static str),
}

/// Whether these bytes begin a request, and no line of a command. Also a request of another method, which is refused: its
/// headers are no commands.
pub(super) fn begins(bytes: &[u8]) -> bool {
    if [&b"GET /"[..], b"POST /"]
        .iter()
        .any(|start| bytes.starts_with(start))
    {
        return true;
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let is_method = |word: &[u8]| word.iter().all(u8::is_ascii_uppercase);
    words.next().is_some_and(is_method)
        && words.next().is_some()
        && words.next().is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// Whether a page of a web site sends a request with this header: a browser says so. The console has no password, so any
/// page that its user looks at could send commands.
fn is_of_page(name: &str, value: &str) -> bool {
    let is = |expected| name.eq_ignore_ascii_case(expected);
    is("origin") || is("sec-fetch-site") && value != "none" && value != "same-origin"
}

/// Parses a request of at most `bytes_max` bytes.
pub(super) fn parse(bytes: &[u8], bytes_max: usize) -> Parsed {
    const BAD: Parsed = Parsed::Invalid("400 Bad Request");
    const TOO_LARGE: Parsed = Parsed::Invalid("413 Content Too Large");
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > bytes_max {
            TOO_LARGE
        } else {
            Parsed::Incomplete
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path)) = (first.next(), first.next()) else {
        return BAD;
    };
    if method != "GET" && method != "POST" {
        return Parsed::Invalid("405 Method Not Allowed");
    }
    let (mut length, mut is_chunked) = (0, false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if is_of_page(name, value) {
            return Parsed::Invalid("403 Forbidden");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = true;
        } else if name.eq_ignore_ascii_case("content-length") {
            match value.parse::<usize>() {
                Ok(number) => length = number,
                Err(_) => return BAD,
            }
        }
    }
    if is_chunked {
        return Parsed::Invalid("411 Length Required");
    }
    if method == "GET" {
        let path = path.strip_prefix('/').unwrap_or(path);
        return Parsed::Command(decode(&path.replace('/', " ")));
    }
    if length > bytes_max {
        return TOO_LARGE;
    }
    match bytes[end + 4..].get(..length) {
        Some(body) => Parsed::Command(String::from_utf8_lossy(body).trim().to_owned()),
        None => Parsed::Incomplete,
    }
}

/// Replaces `%xx` by its byte.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A response with this body.
pub(super) fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_parsed_once_it_is_complete() {
        let command = |text: &str| Parsed::Command(text.to_owned());
        assert_eq!(
            parse(b"GET /ping/a HTTP/1.1\r\nHost: x\r\n\r\n", 100),
            command("ping a")
        );
        assert_eq!(parse(b"GET /call%20a HTTP/1.1\r\n\r\n", 100), command("call a"));
        assert_eq!(parse(b"GET /%zz%4 HTTP/1.1\r\n\r\n", 100), command("%zz%4"));
        assert_eq!(
            parse(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nli", 100),
            Parsed::Incomplete
        );
        assert_eq!(
            parse(b"POST / HTTP/1.1\r\nCONTENT-LENGTH:4\r\n\r\nlist", 100),
            command("list")
        );
        assert_eq!(parse(b"GET /list HTTP/1.1\r\n", 100), Parsed::Incomplete);
        for (bytes, status) in [
            (
                &b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"[..],
                "400 Bad Request",
            ),
            (
                b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
                "413 Content Too Large",
            ),
            (&[b'x'; 101], "413 Content Too Large"),
            (b"PUT /list HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            (
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "411 Length Required",
            ),
            (b"GET /list HTTP/1.1\r\norigin: http://x\r\n\r\n", "403 Forbidden"),
            (
                b"GET / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n\r\n",
                "403 Forbidden",
            ),
        ] {
            assert_eq!(parse(bytes, 100), Parsed::Invalid(status));
        }
        assert_eq!(
            parse(b"GET /list HTTP/1.1\r\nSec-Fetch-Site: none\r\n\r\n", 100),
            command("list")
        );
        assert!(begins(b"GET /") && !begins(b"GET") && !begins(b"getenv /"));
        assert!(begins(b"HEAD /x HTTP/1.1\r\n") && !begins(b"CALL x") && !begins(b"\xff HTTP/"));
    }
}
