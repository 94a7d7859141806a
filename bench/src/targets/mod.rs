//! What Skyring promises for its speed, measured: each figure beside what it is to be compared with, in one run.
//!
//! The figures of a target are measured in turn, again and again, and told as medians; the ratio is of the medians. So a
//! machine that becomes slower does so for both.

mod load;
mod paused;
mod versus;

use std::time::Duration;

use serde::Serialize;

use crate::floors::{Launcher, PeerError};
use crate::interrupt::Interrupt;
use crate::pair::PairError;
use crate::server::{Program, ServerError};
use crate::watch::WatchError;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// With 256 calls in flight: beside the bare loop on glommio, and beside Redis.
    Throughput,
    /// A single call: beside the blocking echo.
    RoundTrip,
    /// An open loop at half of the maximum rate: p99 beside p50.
    HalfRate,
    /// 10,000 calls in flight: beside 256.
    ManyCallers,
    /// Payloads of a mebibyte: beside a blocking stream.
    LargePayloads,
    /// Keyed calls over four channels and four shards: none crosses shards.
    KeyedChannels,
    /// Calls to a healthy node beside a paused one: beside those without it.
    PausedPeer,
}

/// What a ratio is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
}

/// What was found out about a promise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The promise.
    pub target: &'static str,
    /// What of it.
    pub what: String,
    /// Skyring's figure, with its unit.
    pub figure: String,
    /// What it is compared with.
    pub floor: String,
    /// The figure divided by that.
    pub ratio: f64,
    /// What that is to be.
    pub wanted: Wanted,
    /// Whether it is.
    pub met: bool,
}

/// How targets are measured.
pub struct Course<'a> {
    /// Runs a server of Skyring's.
    pub node: &'a Program,
    /// Runs those of the floors.
    pub launcher: &'a Launcher,
    /// Ends it early.
    pub interrupt: &'a Interrupt,
    /// How often everything is measured.
    pub runs: usize,
    /// How long, each time.
    pub duration: Duration,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 7] = [
        Target::Throughput,
        Target::RoundTrip,
        Target::HalfRate,
        Target::ManyCallers,
        Target::LargePayloads,
        Target::KeyedChannels,
        Target::PausedPeer,
    ];

    /// Its name, for people and for the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Target::Throughput => "throughput",
            Target::RoundTrip => "round-trip",
            Target::HalfRate => "half-rate",
            Target::ManyCallers => "many-callers",
            Target::LargePayloads => "large-payloads",
            Target::KeyedChannels => "keyed-channels",
            Target::PausedPeer => "paused-peer",
        }
    }

    /// The target with that name.
    pub fn named(name: &str) -> Option<Target> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Measures it. `progress` is told what is measured.
    ///
    /// # Errors
    /// [`PairError`] when Skyring has no figures or somebody interrupts. A peer that is not installed is left out.
    pub fn measure(
        self,
        course: &Course<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<Finding>, PairError> {
        match self {
            Target::Throughput => versus::throughput(course, progress),
            Target::RoundTrip => versus::round_trip(course, progress),
            Target::HalfRate => load::half_rate(course, progress),
            Target::ManyCallers => load::many_callers(course, progress),
            Target::LargePayloads => load::large_payloads(course, progress),
            Target::KeyedChannels => load::keyed_channels(course, progress),
            Target::PausedPeer => paused::measure(course, progress),
        }
    }
}

impl Wanted {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Wanted::AtLeast(least) => ratio >= least,
            Wanted::AtMost(most) => ratio <= most,
        }
    }
}

impl Finding {
    fn new(
        target: Target,
        what: &str,
        (figure, floor): (String, String),
        ratio: f64,
        wanted: Wanted,
    ) -> Finding {
        Finding {
            target: target.name(),
            what: what.to_owned(),
            figure,
            floor,
            ratio,
            wanted,
            met: wanted.is_met_by(ratio),
        }
    }
}

/// The middle one; not a number when there is none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn peer_error(error: PeerError) -> PairError {
    match error {
        PeerError::Interrupted => PairError::Interrupted,
        error => PairError::System(std::io::Error::other(error.to_string())),
    }
}

fn server_error(error: ServerError) -> PairError {
    match error {
        ServerError::Waited {
            error: WatchError::Interrupted,
            ..
        } => PairError::Interrupted,
        error => PairError::Server(error),
    }
}

/// All findings as one JSON array on one line.
pub fn findings_json(findings: &[Finding]) -> String {
    // All keys are texts, so that there is a JSON of it.
    serde_json::to_string(findings).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_by_its_own_name() {
        for target in Target::ALL {
            assert_eq!(Target::named(target.name()), Some(target));
        }
        assert_eq!(Target::named("speed"), None);
    }

    #[test]
    fn a_ratio_meets_what_is_wanted_or_does_not() {
        assert!(Wanted::AtLeast(0.9).is_met_by(0.9) && !Wanted::AtLeast(0.9).is_met_by(0.89));
        assert!(Wanted::AtMost(3.0).is_met_by(3.0) && !Wanted::AtMost(3.0).is_met_by(3.01));
        assert!(!Wanted::AtMost(3.0).is_met_by(f64::NAN) && !Wanted::AtLeast(0.0).is_met_by(f64::NAN));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn findings_are_json() {
        let finding = Finding::new(
            Target::HalfRate,
            "p99",
            ("3 us".to_owned(), "1 us".to_owned()),
            3.5,
            Wanted::AtMost(3.0),
        );
        let json = findings_json(&[finding]);
        assert_eq!(
            json,
            r#"[{"target":"half-rate","what":"p99","figure":"3 us","floor":"1 us","ratio":3.5,"wanted":{"at_most":3.0},"met":false}]"#
        );
    }
}
