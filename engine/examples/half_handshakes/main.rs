//! What handshakes that are begun and never finished do to a healthy peer, and what they cost the node and whoever begins them.
//!
//! ```console
//! $ cargo run --release -p skyring --example half_handshakes -- [--rounds 9] [--seconds 3] [--rate 1000] [--sources 1] [KIND]...
//! ```
//!
//! A kind is `hello`: a part of a hello, to a node with a cluster secret; `proof`: a whole one, to which the node answers and
//! then waits for the proof; `tls`: a part of the first message of TLS, to a node with certificates; `tls-whole`: all of it,
//! which the node answers with its certificate and a signature.
//!
//! The node has the first processor that this process may use. The second one has the healthy peer, which makes 2,000 calls
//! a second, and the flooder, which runs when nobody else wants to (`chrt --idle`). It opens so many connections a second from
//! so many addresses and holds them open. Each time it uses other ones, which nothing is known about.
//!
//! A node answers the first handshakes of an address, and refuses others before it reads them. So what those that are
//! answered cost is measured first. Then windows take turns: without the flood, with it, and with the same flood at another
//! node on the same processor, which shows how much comes from the machine. A round in which the host took processors from
//! this machine for more than 10 ms is made again, as long as there are at most three turns for each round. It prints the
//! ratios of the p99 of the calls of each round, their medians with their intervals, and the processor time of both for each
//! handshake.

mod flooder;
mod processors;
mod setting;

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use skyring::{ClusterMap, Node};

use processors::{pin, processor_time, processors, stolen_time};
use setting::{Folder, Kind, builder};

/// Calls of the healthy peer, a second.
const CALLS_PER_SECOND: u32 = 2_000;

/// Between two windows: the node closes what the flooder has left.
const PAUSE: Duration = Duration::from_millis(300);

/// A round counts if in each of its windows processors were taken from a virtual machine for so long, at most.
const STOLEN_MAX: Duration = Duration::from_millis(10);

/// Turns after which it says how far it is.
const TURNS_REPORTED: usize = 10;

/// Turns for each round that is to count.
const ATTEMPTS_MAX: usize = 3;

/// Handshakes of one address that are answered, at the beginning; a node answers some more.
const ANSWERED: u64 = 200;

/// How often a median lies outside of its interval, at most.
const OUTSIDE: f64 = 0.05;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Arguments {
    rounds: usize,
    seconds: f64,
    rate: f64,
    sources: u32,
    kinds: Vec<Kind>,
}

impl Arguments {
    fn parse() -> Outcome<Arguments> {
        let mut arguments = Arguments {
            rounds: 9,
            seconds: 3.0,
            rate: 1_000.0,
            sources: 1,
            kinds: Vec::new(),
        };
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            let mut number = || -> Outcome<f64> {
                let text = given.next().ok_or(format!("{argument} needs a number"))?;
                let number: f64 = text.parse()?;
                match number.is_finite() && (0.1..=1e6).contains(&number) {
                    true => Ok(number),
                    false => Err(format!("{argument} needs a number from 0.1 to 1000000, not {text}").into()),
                }
            };
            match argument.as_str() {
                "--rounds" => arguments.rounds = (number()? as usize).max(1),
                "--sources" => arguments.sources = (number()? as u32).clamp(1, 250),
                "--seconds" => arguments.seconds = number()?,
                "--rate" => arguments.rate = number()?,
                kind => arguments.kinds.push(Kind::of(kind)?),
            }
        }
        if arguments.kinds.is_empty() {
            arguments.kinds = Kind::ALL.to_vec();
        }
        Ok(arguments)
    }
}

/// A child process with lines in both directions. Drop ends it.
struct Part {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Part {
    /// This program again, in another part; started by another program, if that is given with its arguments.
    fn start(by: &[&str], arguments: &[&str]) -> Outcome<Part> {
        let own = std::env::current_exe()?;
        let mut command = match by.split_first() {
            None => Command::new(own),
            Some((program, options)) => {
                let mut command = Command::new(program);
                command.args(options).arg(own);
                command
            }
        };
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Part {
            stdin: stdin.ok_or("no standard input")?,
            stdout: BufReader::new(stdout.ok_or("no standard output")?),
            child,
        })
    }

    fn tell(&mut self, line: &str) -> Outcome<()> {
        writeln!(self.stdin, "{line}")?;
        Ok(self.stdin.flush()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("a part has ended".into()),
            _ => Ok(line.trim().to_owned()),
        }
    }

    fn processor_time(&self) -> Outcome<Duration> {
        processor_time(self.child.id())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What somebody floods, and how.
struct Flood<'a> {
    address: &'a str,
    handshakes: u64,
    sources: u32,
    /// The number of the first of its sources.
    source: u32,
}

/// What a window shows.
struct Window {
    /// For how long processors were taken from this machine.
    stolen: Duration,
    p99: Duration,
    failed: usize,
    seconds: f64,
    node_time: Duration,
    flooder_time: Duration,
    begun: u64,
}

impl Window {
    /// The processor time of the node and of the flooder for each handshake, in microseconds, where the node takes so many
    /// seconds a second without any.
    fn costs(&self, idle: f64) -> (f64, f64) {
        let handshakes = self.begun.max(1) as f64;
        let more = self.node_time.as_secs_f64() - idle * self.seconds;
        (
            more * 1e6 / handshakes,
            self.flooder_time.as_secs_f64() * 1e6 / handshakes,
        )
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match parts[..] {
        ["part-node", kind, folder, processor] => {
            pin(processor.parse()?)?;
            setting::node(Kind::of(kind)?, folder.as_ref())
        }
        ["part-flooder", kind] => flooder::run(Kind::of(kind)?),
        _ => measure(&Arguments::parse()?),
    }
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    let [first, second] = processors()?;
    pin(second)?;
    for kind in &arguments.kinds {
        one_kind(*kind, &first.to_string(), arguments)?;
    }
    Ok(())
}

fn one_kind(kind: Kind, first: &str, arguments: &Arguments) -> Outcome<()> {
    let folder = Folder::new()?;
    let path = folder.path().to_str().ok_or("a folder whose name is no text")?;
    let start_node = || -> Outcome<(Part, String)> {
        let mut node = Part::start(&[], &["part-node", kind.name(), path, first])?;
        let address = node.line()?;
        Ok((node, address))
    };
    let (mut node, address) = start_node()?;
    let (_elsewhere, other_address) = start_node()?;
    let mut flooder = Part::start(
        &["nice", "-n", "19", "chrt", "--idle", "0"],
        &["part-flooder", kind.name()],
    )?;
    let map = ClusterMap::new().with("db", &address)?;
    let peer = builder(kind, "gate", folder.path())?.map(map).start()?;
    // The first second is no measurement: everything is touched and met.
    window(&peer, &node, &mut flooder, 1.0, None)?;
    let sources = arguments.sources;
    let mut source = 0;
    let mut flood = |address, handshakes| {
        source += sources;
        Some(Flood {
            address,
            handshakes,
            sources,
            source: source - sources,
        })
    };
    let answered = ANSWERED * u64::from(sources);
    let seconds = answered as f64 / arguments.rate;
    let first = window(&peer, &node, &mut flooder, seconds, flood(&address, answered))?;
    thread::sleep(PAUSE);
    let (mut alone, mut flooded, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    let mut turns = 0;
    while alone.len() < arguments.rounds && turns < arguments.rounds * ATTEMPTS_MAX {
        let mut round: [Option<Window>; 3] = [const { None }; 3];
        for step in 0..3 {
            // Each is first, second and last as often as the others.
            let place = (turns + step) % 3;
            let target = [None, Some(&address), Some(&other_address)][place];
            let handshakes = (arguments.rate * arguments.seconds) as u64;
            let flood = target.and_then(|target| flood(target, handshakes));
            round[place] = Some(window(&peer, &node, &mut flooder, arguments.seconds, flood)?);
            thread::sleep(PAUSE);
        }
        turns += 1;
        if turns.is_multiple_of(TURNS_REPORTED) {
            eprintln!("{}: {turns} turns, {} rounds", kind.name(), alone.len());
        }
        if let [Some(one), Some(two), Some(three)] = round
            && [&one, &two, &three]
                .iter()
                .all(|window| window.stolen <= STOLEN_MAX)
        {
            alone.push(one);
            flooded.push(two);
            elsewhere.push(three);
        }
    }
    let name = kind.name();
    println!(
        "{name}: {} rounds of {turns}; in the others the machine had its processors taken away for more than {} ms",
        alone.len(),
        STOLEN_MAX.as_millis()
    );
    if alone.is_empty() {
        return Err("no round is left: try again when the machine has less to do".into());
    }
    let idle = median(
        alone
            .iter()
            .map(|window| window.node_time.as_secs_f64() / window.seconds),
    );
    let (node_cost, flooder_cost) = first.costs(idle);
    println!(
        "{name}: the first {answered} handshakes cost the node {node_cost:.0} us each, and the flooder {flooder_cost:.0} us"
    );
    let node_cost = median(flooded.iter().map(|window| window.costs(idle).0));
    let flooder_cost = median(flooded.iter().map(|window| window.costs(idle).1));
    println!(
        "{name}: {:.0} handshakes in {} s cost the node {node_cost:.0} us each, and the flooder {flooder_cost:.0} us",
        median(flooded.iter().map(|window| window.begun as f64)),
        arguments.seconds,
    );
    let all = || alone.iter().chain(&flooded).chain(&elsewhere);
    println!(
        "{name}: p99 {} without it, {} with it, {} with it at another node; {} calls failed",
        range(&alone),
        range(&flooded),
        range(&elsewhere),
        all().map(|window| window.failed).sum::<usize>(),
    );
    println!(
        "{name}: ratio of the p99 {} to that without it, {} to that with it at another node; another node to none {}",
        ratio(&flooded, &alone),
        ratio(&flooded, &elsewhere),
        ratio(&elsewhere, &alone),
    );
    node.tell("counters")?;
    println!("{name}: {}\n", node.line()?);
    drop(flooder);
    peer.stop();
    Ok(())
}

/// The p99 of windows: the median, from the lowest to the highest.
fn range(windows: &[Window]) -> String {
    let mut times: Vec<Duration> = windows.iter().map(|window| window.p99).collect();
    times.sort_unstable();
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!(
        "{:.3} ms ({:.3} to {:.3})",
        ms(times.len() / 2),
        ms(0),
        ms(times.len().saturating_sub(1))
    )
}

/// The median of the ratios of the p99 of windows of one round, with its interval.
fn ratio(these: &[Window], those: &[Window]) -> String {
    let pairs = these.iter().zip(those);
    let mut ratios: Vec<f64> = pairs
        .map(|(this, that)| this.p99.as_secs_f64() / that.p99.as_secs_f64())
        .collect();
    let (low, median, high) = interval(&mut ratios);
    format!("{median:.2} ({low:.2} to {high:.2})")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    interval(&mut values.collect::<Vec<_>>()).1
}

/// Calls for so many seconds, with so many handshakes at an address.
fn window(
    peer: &Node,
    node: &Part,
    flooder: &mut Part,
    seconds: f64,
    flood: Option<Flood<'_>>,
) -> Outcome<Window> {
    let stolen = stolen_time()?;
    let before = (node.processor_time()?, flooder.processor_time()?);
    if let Some(flood) = &flood {
        let Flood {
            address,
            handshakes,
            sources,
            source,
        } = flood;
        flooder.tell(&format!("{address} {handshakes} {seconds} {source} {sources}"))?;
    }
    let (mut times, failed) = calls(peer, Duration::from_secs_f64(seconds));
    let begun = match flood {
        Some(_) => flooder.line()?.parse()?,
        None => 0,
    };
    let after = (node.processor_time()?, flooder.processor_time()?);
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    Ok(Window {
        stolen: stolen_time()?.saturating_sub(stolen),
        p99: *times.get(at).ok_or("no call was answered")?,
        failed,
        seconds,
        node_time: after.0.saturating_sub(before.0),
        flooder_time: after.1.saturating_sub(before.1),
        begun,
    })
}

/// Makes calls that are due at equal distances; their times, from when they were due, and how many failed.
fn calls(peer: &Node, time: Duration) -> (Vec<Duration>, usize) {
    let distance = Duration::from_secs(1) / CALLS_PER_SECOND;
    let db = peer.client().node("db");
    let began = Instant::now();
    let (mut times, mut failed) = (Vec::new(), 0);
    for number in 1.. {
        let due = began + distance * number;
        if due.duration_since(began) >= time {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match db.call("@echo", &"sixteen bytes...").wait() {
            Ok(_) => times.push(due.elapsed()),
            Err(_) => failed += 1,
        }
    }
    (times, failed)
}

/// The median, between the values that it lies between with a probability of 95 % or more where there are enough.
fn interval(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    // The median is below the value at `cut` if more than `count - cut` values are above it: that of a fair coin.
    let (mut outside, mut ways, mut cut) = (0.0, 2.0 * 0.5_f64.powi(count as i32), 0);
    for at in 0..count / 2 {
        outside += ways;
        if outside > OUTSIDE {
            break;
        }
        cut = at;
        ways *= (count - at) as f64 / (at + 1) as f64;
    }
    (values[cut], values[count / 2], values[count - 1 - cut])
}
