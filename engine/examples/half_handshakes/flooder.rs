//! The one who begins handshakes and finishes none.

use std::io::{BufRead as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::setting::Kind;

/// The addresses of this machine that it connects from, so that the bounds of one source do not protect the node.
const SOURCES: u8 = 16;

/// Reads lines with an address, a number of handshakes and the seconds that they take; answers each with how many it has begun. It
/// holds them open until the window is over.
pub(crate) fn run(kind: Kind) -> Outcome<()> {
    // As many connections as it may have.
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, most)?;
    let bytes = kind.bytes()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [address, count, seconds] = words[..] else {
            return Err("an address, a number and seconds are needed".into());
        };
        let address: SocketAddr = address.parse()?;
        let count: u32 = count.parse()?;
        let time = Duration::from_secs_f64(seconds.parse()?);
        let mut open = Vec::new();
        let began = Instant::now();
        for number in 0..count {
            let due = began + time.mul_f64(f64::from(number) / f64::from(count.max(1)));
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Ok(mut stream) = connect(address, (number % u32::from(SOURCES)) as u8 + 2)
                && stream.write_all(&bytes).is_ok()
            {
                open.push(stream);
            }
        }
        println!("{}", open.len());
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Connects from an address of this machine.
fn connect(address: SocketAddr, source: u8) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let source: SocketAddr = ([127, 0, 0, source], 0).into();
    socket.bind(&source.into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
