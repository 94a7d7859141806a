//! Targets whose ratios are those of the table of floors and peers.

use std::time::Duration;

use super::context::Context;
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::floors::Peer;
use crate::format::{duration, grouped};
use crate::pair::PairError;
use crate::peers::{Plan, Row, SKYRING, Table};

/// How long those that can spin poll for work before they sleep, in the spinning setting.
const SPIN: Duration = Duration::from_micros(50);

/// Size of the values.
const SIZE: usize = 64;

fn table(
    context: &Context<'_>,
    peers: &[Peer],
    in_flight: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Table, PairError> {
    let plan = Plan {
        peers: peers.to_vec(),
        in_flight: vec![in_flight],
        size: SIZE,
        spin: SPIN,
        duration: context.duration,
        warm_up: context.duration / 4,
        runs: context.runs,
        skynet: None,
    };
    let table = plan.measure(context.node, context.launcher, context.interrupt, |run, name| {
        progress(&format!("run {run}, {name}"));
    })?;
    Ok(table)
}

/// Both settings, parking first, each with Skyring's row and that of the peer with this name.
fn rows(table: &Table, peer: Peer) -> impl Iterator<Item = (&'static str, &Row, &Row)> {
    table.groups.iter().filter_map(move |group| {
        let setting = if group.spin_us == 0 { "parking" } else { "spinning" };
        let row = |name| group.rows.iter().find(move |row| row.name == name);
        Some((setting, row(SKYRING)?, row(peer.name())?))
    })
}

fn rate(row: &Row) -> String {
    format!("{} calls/s", grouped(row.calls_per_second))
}

pub(super) fn throughput(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let table = table(context, &[Peer::Glommio, Peer::RedisGet], 256, progress)?;
    let mut results = Vec::new();
    for (peer, wanted) in [(Peer::Glommio, 0.9), (Peer::RedisGet, 1.3)] {
        for (setting, ours, theirs) in rows(&table, peer) {
            // The target beside Redis is for a Skyring that spins.
            if peer == Peer::Glommio || setting == "spinning" {
                results.push(TargetResult::new(
                    Target::Throughput,
                    &format!("256 in flight, {setting}, beside {}", peer.name()),
                    (rate(ours), rate(theirs)),
                    ours.calls_per_second / theirs.calls_per_second,
                    Wanted::AtLeast(wanted),
                ));
            }
        }
    }
    Ok(results)
}

pub(super) fn round_trip(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let table = table(context, &[Peer::BlockingEcho], 1, progress)?;
    let both = rows(&table, Peer::BlockingEcho);
    Ok(both
        .map(|(setting, ours, theirs)| {
            TargetResult::new(
                Target::RoundTrip,
                &format!("p50 of 1 in flight, {setting}, beside blocking-echo"),
                (duration(ours.p50_us), duration(theirs.p50_us)),
                ours.p50_us / theirs.p50_us,
                Wanted::AtMost(if setting == "parking" { 1.15 } else { 1.0 }),
            )
        })
        .collect())
}
