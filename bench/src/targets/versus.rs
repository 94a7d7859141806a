//! Targets beside floors and peers: those of the table of peers, with what their ratios are to be.

use std::time::Duration;

use super::{Course, Finding, Target, Wanted, peer_error};
use crate::floors::Peer;
use crate::pair::PairError;
use crate::peers::{Plan, Row, SKYRING, Table};
use crate::report::{duration, grouped};

/// How long whoever can looks for work before it sleeps, in the spinning setting.
const SPIN: Duration = Duration::from_micros(50);

/// Size of the values.
const SIZE: usize = 64;

fn table(
    course: &Course<'_>,
    peers: &[Peer],
    in_flight: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Table, PairError> {
    let plan = Plan {
        peers: peers.to_vec(),
        in_flight: vec![in_flight],
        size: SIZE,
        spin: SPIN,
        duration: course.duration,
        warm_up: course.duration / 4,
        runs: course.runs,
        skynet: None,
    };
    plan.measure(course.node, course.launcher, course.interrupt, |run, name| {
        progress(&format!("run {run}, {name}"));
    })
    .map_err(peer_error)
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
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let table = table(course, &[Peer::Glommio, Peer::RedisGet], 256, progress)?;
    let mut findings = Vec::new();
    for (peer, wanted) in [(Peer::Glommio, 0.9), (Peer::RedisGet, 1.3)] {
        for (setting, ours, theirs) in rows(&table, peer) {
            // Redis is to be passed by a Skyring that spins.
            if peer == Peer::Glommio || setting == "spinning" {
                findings.push(Finding::new(
                    Target::Throughput,
                    &format!("256 in flight, {setting}, beside {}", peer.name()),
                    (rate(ours), rate(theirs)),
                    ours.calls_per_second / theirs.calls_per_second,
                    Wanted::AtLeast(wanted),
                ));
            }
        }
    }
    Ok(findings)
}

pub(super) fn round_trip(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let table = table(course, &[Peer::BlockingEcho], 1, progress)?;
    let both = rows(&table, Peer::BlockingEcho);
    Ok(both
        .map(|(setting, ours, theirs)| {
            Finding::new(
                Target::RoundTrip,
                &format!("p50 of 1 in flight, {setting}, beside blocking-echo"),
                (duration(ours.p50_us), duration(theirs.p50_us)),
                ours.p50_us / theirs.p50_us,
                Wanted::AtMost(if setting == "parking" { 1.15 } else { 1.0 }),
            )
        })
        .collect())
}
