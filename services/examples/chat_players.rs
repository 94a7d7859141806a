//! Plays the chat of `docs/examples/chat`: one player by hand, or many by a script that checks that no message is lost.
//!
//! ```console
//! $ cargo run -p skyring-services --example chat_players -- ada
//! $ cargo run --release -p skyring-services --example chat_players -- --players 1000 --seconds 60
//! ```

use std::collections::HashMap;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Players of one room of the script.
const ROOM_PLAYERS: usize = 10;

/// Time between two messages of a player.
const SAY_INTERVAL: Duration = Duration::from_secs(1);

/// How long the last messages may take.
const END_TIME_MAX: Duration = Duration::from_secs(20);

/// How long anything else may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Players that log in at the same time.
const LOGINS_MAX: usize = 50;

/// A connection: lines, each behind two bytes of length.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            received: Vec::new(),
        })
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        let length = u16::try_from(line.len()).map_err(io::Error::other)?;
        self.stream
            .write_all(&[&length.to_be_bytes(), line.as_bytes()].concat())
    }

    /// The next line; `None` when none comes in time.
    fn read(&mut self, time: Duration) -> io::Result<Option<String>> {
        let until = Instant::now() + time;
        loop {
            if let Some(&[high, low]) = self.received.first_chunk() {
                let end = 2 + usize::from(u16::from_be_bytes([high, low]));
                if self.received.len() >= end {
                    let line = String::from_utf8_lossy(&self.received[2..end]).into_owned();
                    self.received.drain(..end);
                    return Ok(Some(line));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut part = [0; 4_096];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&part[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads until a line begins with these words.
    fn wait_for(&mut self, words: &str) -> io::Result<()> {
        loop {
            match self.read(ANSWER_TIME_MAX)? {
                Some(line) if line.starts_with("error") => return Err(io::Error::other(line)),
                Some(line) if line.starts_with(words) => return Ok(()),
                Some(_) => {}
                None => return Err(io::Error::other(format!("no {words} came"))),
            }
        }
    }
}

/// What one player of the script saw.
#[derive(Default)]
struct Seen {
    said: u64,
    received: u64,
    moved: u64,
    lost: u64,
    doubled: u64,
    latencies: Vec<Duration>,
}

/// Plays one player for a time; `barrier` holds all back until everybody is in a room.
fn play(address: &str, number: usize, messages: u64, barrier: &Barrier) -> io::Result<Seen> {
    let entered = enter(address, number);
    // Also when this player could not: the others must not wait for ever.
    barrier.wait();
    let mut client = entered?;
    let mut seen = Seen::default();
    let mut next: HashMap<String, u64> = HashMap::new();
    let expected = messages * ROOM_PLAYERS as u64;
    // Not all at the same moment.
    let began = Instant::now() + SAY_INTERVAL * (number % 100) as u32 / 100;
    let mut said_at = Vec::new();
    let mut heard = Instant::now();
    while seen.received < expected {
        let due = began + SAY_INTERVAL * seen.said as u32;
        if seen.said < messages && Instant::now() >= due {
            said_at.push(Instant::now());
            client.send(&format!("say {}", seen.said))?;
            if seen.said % 2 == 0 {
                client.send(&format!("move {} {}", number % 100, seen.said % 100))?;
            }
            seen.said += 1;
            continue;
        }
        let wait = match seen.said < messages {
            true => due.saturating_duration_since(Instant::now()),
            false => Duration::from_millis(100),
        };
        let Some(line) = client.read(wait)? else {
            if seen.said == messages && heard.elapsed() > END_TIME_MAX {
                break;
            }
            continue;
        };
        heard = Instant::now();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["said", name, message] => {
                let message: u64 = message.parse().map_err(io::Error::other)?;
                let next = next.entry(name.to_owned()).or_default();
                if message < *next {
                    seen.doubled += 1;
                } else {
                    seen.lost += message - *next;
                    *next = message + 1;
                }
                seen.received += 1;
                if name == player_name(number)
                    && let Some(said) = said_at.get(message as usize)
                {
                    seen.latencies.push(said.elapsed());
                }
            }
            ["moved", ..] => seen.moved += 1,
            ["error", ..] => return Err(io::Error::other(line)),
            _ => {}
        }
    }
    seen.lost += expected.saturating_sub(seen.received + seen.lost);
    Ok(seen)
}

fn player_name(number: usize) -> String {
    format!("player{number}")
}

/// Logs in, and goes to the room.
fn enter(address: &str, number: usize) -> io::Result<Client> {
    let mut client = Client::connect(address)?;
    client.send(&format!("login {}", player_name(number)))?;
    client.wait_for("welcome")?;
    let room = format!("room{}", number / ROOM_PLAYERS);
    client.send(&format!("room {room}"))?;
    client.wait_for(&format!("room {room}"))?;
    Ok(client)
}

/// Plays the script, and says what was seen.
fn script(address: &str, players: usize, seconds: u64) -> io::Result<bool> {
    let players = players.div_ceil(ROOM_PLAYERS) * ROOM_PLAYERS;
    println!("{players} players in rooms of {ROOM_PLAYERS}, {seconds} messages each");
    let barrier = Arc::new(Barrier::new(players));
    let began = Instant::now();
    let mut threads = Vec::new();
    for number in 0..players {
        // Logins come in groups, as many as there are threads that wait for one.
        if number % LOGINS_MAX == 0 && number > 0 {
            thread::sleep(Duration::from_millis(200));
        }
        let (address, barrier) = (address.to_owned(), Arc::clone(&barrier));
        threads.push(
            thread::Builder::new()
                .stack_size(128 << 10)
                .spawn(move || play(&address, number, seconds, &barrier))?,
        );
    }
    let mut all = Seen::default();
    let mut failed = 0;
    for thread in threads {
        match thread.join() {
            Ok(Ok(seen)) => {
                all.said += seen.said;
                all.received += seen.received;
                all.moved += seen.moved;
                all.lost += seen.lost;
                all.doubled += seen.doubled;
                all.latencies.extend(seen.latencies);
            }
            Ok(Err(error)) => {
                failed += 1;
                eprintln!("a player failed: {error}");
            }
            Err(_) => failed += 1,
        }
    }
    all.latencies.sort_unstable();
    let at = |part: f64| {
        let place = (all.latencies.len() as f64 * part) as usize;
        let latency = all.latencies.get(place).or(all.latencies.last());
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    println!(
        "{:.1} s: {} said, {} received, {} moves seen; {} lost, {} doubled, {failed} players failed",
        began.elapsed().as_secs_f64(),
        all.said,
        all.received,
        all.moved,
        all.lost,
        all.doubled
    );
    println!(
        "from saying to hearing oneself: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(all.lost + all.doubled + failed == 0)
}

/// Plays one player by hand: what is typed is sent, and what comes is printed.
fn by_hand(address: &str, name: &str) -> io::Result<bool> {
    let mut client = Client::connect(address)?;
    client.send(&format!("login {name}"))?;
    let mut reader = Client {
        stream: client.stream.try_clone()?,
        received: Vec::new(),
    };
    thread::spawn(move || {
        loop {
            match reader.read(Duration::from_secs(60)) {
                Ok(Some(line)) => println!("{line}"),
                Ok(None) => {}
                Err(_) => {
                    println!("the chat has closed the connection");
                    std::process::exit(1);
                }
            }
        }
    });
    println!("say TEXT, move X Y, room NAME; Ctrl-D leaves");
    for line in io::stdin().lock().lines() {
        client.send(&line?)?;
    }
    Ok(true)
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.drain(place..(place + 2).min(arguments.len())).nth(1)
    };
    let address = option("--address").unwrap_or_else(|| "127.0.0.1:8888".to_owned());
    let players = option("--players").map(|number| number.parse());
    let seconds = option("--seconds").map_or(Ok(10), |number| number.parse());
    let played = match (players, seconds, arguments.as_slice()) {
        (Some(Ok(players)), Ok(seconds), []) if (1..=10_000).contains(&players) => {
            script(&address, players, seconds)
        }
        (None, Ok(_), [name]) => by_hand(&address, name),
        _ => {
            eprintln!("usage: chat_players [--address HOST:PORT] NAME | --players N [--seconds N]");
            return ExitCode::from(2);
        }
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}
