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
//! There are two such nodes. They have the first processor that this process may use. The second one has a healthy peer, which
//! makes 1,000 calls a second to each, and the flooder, which runs when nobody else wants to (`chrt --idle`). It opens so many
//! connections a second to one of them from so many addresses and holds them open. Each time it uses other addresses, which
//! nothing is known about.
//!
//! A node answers the first handshakes of an address, and refuses others before it reads them. So what those that are
//! answered cost is measured first. Then windows take turns: without the flood, and with it at the one node and at the other.
//! What the machine does meets the calls to both nodes at the same time, so the p99 of the flooded node is compared with that
//! of the other one in the same window, and, because the nodes share a processor, with that of windows without the flood too.
//! It prints medians over the rounds with their intervals, also of the half of the rounds in which the host took the least
//! processor time from this machine, and the processor time of the flooded node and of the flooder for each handshake.

mod flooder;
mod part;
mod processors;
mod setting;
mod statistics;
mod window;

use std::error::Error;
use std::thread;
use std::time::Duration;

use skyring::ClusterMap;

use part::Part;
use processors::{pin, processors};
use setting::{Folder, Kind, NODES, builder};
use statistics::{median, range, ratio};
use window::{Parts, Window};

/// Between two windows: the node closes what the flooder has left.
const PAUSE: Duration = Duration::from_millis(300);

/// Rounds after which it says how far it is.
const ROUNDS_REPORTED: usize = 10;

/// Handshakes of one address that are answered, at the beginning; a node answers some more.
const ANSWERED: u64 = 200;

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
                match text.parse::<f64>() {
                    Ok(number) if (0.1..=1e6).contains(&number) => Ok(number),
                    _ => Err(format!("{argument} needs a number from 0.1 to 1000000, not {text}").into()),
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

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match parts[..] {
        ["part-node", kind, name, folder, processor] => {
            pin(processor.parse()?)?;
            setting::node(Kind::of(kind)?, name, folder.as_ref())
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

fn start(kind: Kind, folder: &Folder, processor: &str, sources: u32) -> Outcome<Parts> {
    let path = folder.path().to_str().ok_or("a folder whose name is no text")?;
    let node = |name: &str| -> Outcome<(Part, String)> {
        let mut node = Part::start(&[], &["part-node", kind.name(), name, path, processor])?;
        let address = node.line()?;
        Ok((node, address))
    };
    let ((first, first_address), (second, second_address)) = (node(NODES[0])?, node(NODES[1])?);
    let map = ClusterMap::new().with(NODES[0], &first_address)?;
    let map = map.with(NODES[1], &second_address)?;
    Ok(Parts {
        nodes: [first, second],
        addresses: [first_address, second_address],
        flooder: Part::start(
            &["nice", "-n", "19", "chrt", "--idle", "0"],
            &["part-flooder", kind.name()],
        )?,
        peer: builder(kind, "gate", folder.path())?.map(map).start()?,
        sources,
        sources_used: 0,
    })
}

fn one_kind(kind: Kind, processor: &str, arguments: &Arguments) -> Outcome<()> {
    let name = kind.name();
    let folder = Folder::new()?;
    let mut parts = start(kind, &folder, processor, arguments.sources)?;
    // The first second is no measurement: everything is touched and met.
    parts.window(1.0, None)?;
    let answered = ANSWERED * u64::from(arguments.sources);
    let first = parts.window(answered as f64 / arguments.rate, Some((0, answered)))?;
    thread::sleep(PAUSE);
    let handshakes = (arguments.rate * arguments.seconds) as u64;
    let mut rounds = Vec::new();
    for turn in 0..arguments.rounds {
        let mut windows: [Option<Window>; 3] = [const { None }; 3];
        for step in 0..3 {
            // Each is first, second and last as often as the others.
            let place = (turn + step) % 3;
            let flood = [Some((0, handshakes)), Some((1, handshakes)), None][place];
            windows[place] = Some(parts.window(arguments.seconds, flood)?);
            thread::sleep(PAUSE);
        }
        if let [Some(one), Some(other), Some(none)] = windows {
            rounds.push(Round {
                flooded: [one, other],
                none,
            });
        }
        if rounds.len().is_multiple_of(ROUNDS_REPORTED) {
            eprintln!("{name}: {} rounds of {}", rounds.len(), arguments.rounds);
        }
    }
    rounds.sort_by_key(Round::stolen);
    report(name, &first, answered, &rounds);
    let [node, _] = &mut parts.nodes;
    node.tell("counters")?;
    println!("{name}: {}\n", node.line()?);
    parts.peer.stop();
    Ok(())
}

/// Windows with the flood at each of the nodes, and without it.
struct Round {
    flooded: [Window; 2],
    none: Window,
}

impl Round {
    /// For how long processors were taken from this machine, in the worst of its windows.
    fn stolen(&self) -> Duration {
        let [one, other] = &self.flooded;
        one.stolen.max(other.stolen).max(self.none.stolen)
    }

    /// The p99 of the flooded node, as often as that of the other one at the same time: the mean for both nodes.
    fn to_other(&self) -> f64 {
        let [one, other] = &self.flooded;
        (one.p99[0] / one.p99[1] * other.p99[1] / other.p99[0]).sqrt()
    }

    /// The p99 of the flooded node, as often as that of the same node without the flood.
    fn to_none(&self) -> f64 {
        let [one, other] = &self.flooded;
        (one.p99[0] / self.none.p99[0] * other.p99[1] / self.none.p99[1]).sqrt()
    }
}

/// What the rounds show, the quietest first, behind what the first handshakes did.
fn report(name: &str, first: &Window, answered: u64, rounds: &[Round]) {
    let idle = |node| median(rounds.iter().map(|round| round.none.load(node)));
    let idle = [idle(0), idle(1)];
    let (node_cost, flooder_cost) = first.costs(0, idle[0]);
    println!(
        "{name}: the first {answered} handshakes cost the node {node_cost:.0} us each, and the flooder {flooder_cost:.0} us"
    );
    let flooded = || rounds.iter().flat_map(|round| round.flooded.iter().enumerate());
    let costs = || flooded().map(|(node, window)| window.costs(node, idle[node]));
    println!(
        "{name}: {} handshakes cost the node {:.0} us each, and the flooder {:.0} us",
        flooded().map(|(_, window)| window.begun).sum::<u64>(),
        median(costs().map(|(node, _)| node)),
        median(costs().map(|(_, flooder)| flooder)),
    );
    let windows = || {
        rounds
            .iter()
            .flat_map(|round| round.flooded.iter().chain([&round.none]))
    };
    println!(
        "{name}: p99 {} without it, {} with it, {} of the other node at the same time; {} calls failed",
        range(rounds.iter().flat_map(|round| round.none.p99)),
        range(flooded().map(|(node, window)| window.p99[node])),
        range(flooded().map(|(node, window)| window.p99[1 - node])),
        windows().map(|window| window.failed).sum::<usize>(),
    );
    for (text, rounds) in [
        ("all", rounds),
        ("the quieter", &rounds[..rounds.len().div_ceil(2)]),
    ] {
        let stolen = rounds.last().map_or(Duration::ZERO, Round::stolen);
        println!(
            "{name}: {text} rounds, {}, with up to {} ms taken by the host: p99 {} without it, ratio {} to that of the other node at \
             the same time, {} to that without it",
            rounds.len(),
            stolen.as_millis(),
            range(rounds.iter().flat_map(|round| round.none.p99)),
            ratio(rounds.iter().map(Round::to_other)),
            ratio(rounds.iter().map(Round::to_none)),
        );
    }
}
