//! The one who begins handshakes and finishes none.

use std::io::{BufRead as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::setting::Kind;

/// Reads lines with an address, a number of handshakes, the seconds that they take, and the first and the number of the sources
/// that they come from; answers each with how many it has begun. It holds open what the node does not close.
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
        let [address, count, seconds, source, sources] = words[..] else {
            return Err("an address, a number, seconds, a source and a number of them are needed".into());
        };
        let address: SocketAddr = address.parse()?;
        let count: u32 = count.parse()?;
        let time = Duration::from_secs_f64(seconds.parse()?);
        let (source, sources): (u32, u32) = (source.parse()?, sources.parse()?);
        let (mut open, mut begun) = (Vec::new(), 0);
        let began = Instant::now();
        for number in 0..count {
            let due = began + time.mul_f64(f64::from(number) / f64::from(count.max(1)));
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let Ok(mut stream) = connect(address, source + number % sources.max(1)) else {
                continue;
            };
            begun += 1;
            // The node may have closed it already.
            if stream.write_all(&bytes).is_ok() {
                open.push(stream);
            }
        }
        println!("{begun}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Connects from an address of this machine: each source has one, and none is that of a node.
fn connect(address: SocketAddr, source: u32) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let [_, high, middle, low] = source.to_be_bytes();
    let source: SocketAddr = ([127, high + 1, middle, low], 0).into();
    socket.bind(&source.into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
