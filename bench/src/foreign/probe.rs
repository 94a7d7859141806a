//! One request on a plain blocking socket, before a measurement, so that what is wrong is said at once and exactly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::TargetError;
use super::target::Target;

/// How long connecting and the answer may each take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Characters of an unexpected answer that an error quotes.
const EXCERPT_CHARACTERS: usize = 60;

/// Makes one request, and returns the length of its answer.
pub(super) fn probe(target: &Target) -> Result<usize, TargetError> {
    let url = target.url().to_string();
    let unreachable = |error| TargetError::Unreachable(url.clone(), error);
    let mut stream = connect(target).map_err(unreachable)?;
    let mut received = Vec::new();
    let failed = |error: io::Error, received: &[u8]| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => TargetError::Silent {
            url: url.clone(),
            seconds: TIME_MAX.as_secs(),
            bytes: received.len(),
        },
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => TargetError::Closed {
            url: url.clone(),
            bytes: received.len(),
        },
        _ => TargetError::Unreachable(url.clone(), error),
    };
    stream.set_write_timeout(Some(TIME_MAX)).map_err(unreachable)?;
    stream
        .write_all(target.request())
        .map_err(|error| failed(error, &[]))?;
    let started = Instant::now();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let answer = target
            .protocol()
            .answer(&received)
            .map_err(|why| TargetError::Protocol {
                url: url.clone(),
                why,
                excerpt: excerpt(&received),
            })?;
        if let Some(answer) = answer {
            if answer.error.is_some() {
                let text = excerpt(&received);
                return Err(TargetError::Refused { url, text });
            }
            return Ok(answer.bytes);
        }
        let left = TIME_MAX.saturating_sub(started.elapsed());
        // A limit of 0 would be none.
        stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .map_err(unreachable)?;
        match stream.read(&mut chunk) {
            Ok(0) => {
                let bytes = received.len();
                return Err(TargetError::Closed { url, bytes });
            }
            Ok(read) => received.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error, &received)),
        }
    }
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let url = target.url();
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIME_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The first line, in quotes, with its control characters escaped.
fn excerpt(received: &[u8]) -> String {
    let text = String::from_utf8_lossy(received);
    let line = text.lines().next().unwrap_or_default();
    let start: String = line.chars().take(EXCERPT_CHARACTERS).collect();
    format!("{start:?}")
}
