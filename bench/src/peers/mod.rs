//! Skyring among floors and peers: all of them measured in turn, again and again, and the medians as ratios.
//!
//! A run measures everybody once, in an order of its own; runs follow each other, so that a machine that
//! becomes slower does so for all alike. What never spins is measured once a run and stands beside Skyring in both settings, parking and
//! spinning. Ratios are of medians: how many times a peer's calls Skyring makes, and how many times its p50.
//!
//! Invariants: without Skyring's own figures there is no table; a peer that is missing or fails is a line
//! with its reason, and not measured again.

mod json;
mod page;
mod skyring;

use std::time::Duration;

use crate::floors::{Launcher, Measured, Peer, PeerError, Settings};
use crate::interrupt::Interrupt;
use crate::server::Program;

/// What Skyring is called in the table, in its own dialect.
pub const SKYRING: &str = "skyring";

/// Whoever is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    /// Skyring, in the native dialect or in Skynet's.
    Skyring { skynet_dialect: bool },
    /// A floor or a peer.
    Peer(Peer),
}

/// What is to be measured, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The peers that are measured beside Skyring.
    pub peers: Vec<Peer>,
    /// Each number of calls in flight has tables of its own.
    pub in_flight: Vec<usize>,
    /// Size of the value, in bytes.
    pub size: usize,
    /// How long whoever can looks for work before it sleeps, in the spinning setting; zero = there is none.
    pub spin: Duration,
    /// The time that is measured, of everybody in each setting and run.
    pub duration: Duration,
    /// Calls of this time before it are not counted.
    pub warm_up: Duration,
    /// How often everybody is measured; at least once.
    pub runs: usize,
    /// A checkout of Skynet that is built, if there is one.
    pub skynet: Option<std::path::PathBuf>,
}

/// The figures of all, by setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Size of the value, in bytes.
    pub size: usize,
    /// Of how many runs the figures are medians.
    pub runs: usize,
    /// Seconds that were measured in each run.
    pub seconds: f64,
    /// One for each number in flight and setting.
    pub groups: Vec<Group>,
    /// Who has no figures.
    pub missing: Vec<Missing>,
}

/// The figures of one setting. The first row is Skyring's, in the native dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Calls in flight.
    pub in_flight: usize,
    /// How long whoever can looks for work before it sleeps, in microseconds.
    pub spin_us: u64,
    /// Everybody.
    pub rows: Vec<Row>,
}

/// Medians of one contender in one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Calls a second.
    pub calls_per_second: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of a hundred took no longer, in microseconds.
    pub p99_us: f64,
    /// Processor time of both sides for a call, in microseconds; `None` when one side's is not known.
    pub cpu_us_per_call: Option<f64>,
    /// Calls of all runs that failed.
    pub errors: u64,
    /// Skyring's calls a second, divided by these.
    pub skyring_calls_ratio: f64,
    /// Skyring's p50, divided by this.
    pub skyring_p50_ratio: f64,
    /// What is not equal to the others.
    pub note: String,
}

/// Whoever has no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: &'static str,
    /// Why.
    pub reason: String,
    /// Whether it is there and went wrong, rather than not being on this machine or in this program.
    pub failed: bool,
}

/// What one contender did in one setting, run for run.
struct Series {
    contender: Contender,
    in_flight: usize,
    spin: Duration,
    measured: Vec<Measured>,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Skyring {
                skynet_dialect: false,
            } => SKYRING,
            Contender::Skyring { skynet_dialect: true } => "skyring-skynet",
            Contender::Peer(peer) => peer.name(),
        }
    }

    /// Whether the spinning setting changes anything for it.
    fn spins(self) -> bool {
        match self {
            Contender::Skyring { .. } => true,
            Contender::Peer(peer) => matches!(
                peer,
                Peer::Glommio | Peer::Uring | Peer::Erlang | Peer::SkyringLua
            ),
        }
    }
}

impl Plan {
    /// The peers that answer calls; the one-way stream does not.
    pub fn callable() -> Vec<Peer> {
        let mut peers = Peer::ALL.to_vec();
        peers.retain(|peer| *peer != Peer::BlockingStream);
        peers
    }

    /// Measures everybody. `node` runs a server of Skyring's, `launcher` those of the floors; `progress` is told
    /// the run, counted from 1, and whose turn it is.
    ///
    /// # Errors
    /// [`PeerError`] when Skyring itself has no figures, or somebody interrupts.
    pub fn measure(
        &self,
        node: &Program,
        launcher: &Launcher,
        interrupt: &Interrupt,
        mut progress: impl FnMut(usize, &'static str),
    ) -> Result<Table, PeerError> {
        let mut all = self.series();
        let mut missing: Vec<Missing> = Vec::new();
        for run in 1..=self.runs {
            for place in order(run, all.len()) {
                let series = &mut all[place];
                let name = series.contender.name();
                if missing.iter().any(|missing| missing.name == name) {
                    continue;
                }
                progress(run, name);
                let settings = self.settings(series.in_flight, series.spin);
                let measured = match series.contender {
                    Contender::Skyring { skynet_dialect } => Ok(skyring::measure(
                        (name, skynet_dialect),
                        &settings,
                        node,
                        interrupt,
                    )?),
                    Contender::Peer(peer) => peer.measure(&settings, launcher, interrupt),
                };
                match measured {
                    Ok(measured) => series.measured.push(measured),
                    Err(PeerError::Interrupted) => return Err(PeerError::Interrupted),
                    Err(error) => missing.push(Missing {
                        name,
                        reason: error.to_string(),
                        failed: !matches!(error, PeerError::Unavailable(_)),
                    }),
                }
            }
        }
        all.retain(|series| {
            let name = series.contender.name();
            missing.iter().all(|missing| missing.name != name)
        });
        Ok(Table {
            size: self.size,
            runs: self.runs,
            seconds: self.duration.as_secs_f64(),
            groups: self.groups(&all),
            missing,
        })
    }

    /// Parking first, and spinning if that is wanted.
    fn spins(&self) -> Vec<Duration> {
        let mut spins = vec![Duration::ZERO];
        spins.extend((!self.spin.is_zero()).then_some(self.spin));
        spins
    }

    /// Everybody in every setting that makes a difference, in the order of the table.
    fn series(&self) -> Vec<Series> {
        let ours = [false, true].map(|skynet_dialect| Contender::Skyring { skynet_dialect });
        let peers = self.peers.iter().copied().map(Contender::Peer);
        let contenders: Vec<_> = ours.into_iter().chain(peers).collect();
        let mut all = Vec::new();
        for &in_flight in &self.in_flight {
            for &contender in &contenders {
                for spin in self.spins() {
                    if spin.is_zero() || contender.spins() {
                        all.push(Series {
                            contender,
                            in_flight,
                            spin,
                            measured: Vec::new(),
                        });
                    }
                }
            }
        }
        all
    }

    fn settings(&self, in_flight: usize, spin: Duration) -> Settings {
        Settings {
            in_flight,
            size: self.size,
            duration: self.duration,
            warm_up: self.warm_up,
            spin,
            server_cpu: 0,
            client_cpu: 1,
            skynet: self.skynet.clone(),
        }
    }

    fn groups(&self, all: &[Series]) -> Vec<Group> {
        let mut groups = Vec::new();
        for &in_flight in &self.in_flight {
            for spin in self.spins() {
                let here = |series: &&Series| {
                    series.in_flight == in_flight && (series.spin == spin || !series.contender.spins())
                };
                groups.push(Group {
                    in_flight,
                    spin_us: spin.as_micros() as u64,
                    rows: rows(all.iter().filter(here)),
                });
            }
        }
        groups
    }
}

/// Who follows whom in a run: every place once, in another order each run, and the same for everybody who
/// repeats it. A processor remembers for a while whether it was busy, so always the same predecessor would
/// favour one and not the other.
fn order(run: usize, places: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..places).collect();
    let mut state = run as u64;
    for last in (1..places).rev() {
        // Knuth's generator, whose high bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
    order
}

/// The rows of one setting; ratios are to the first, which is Skyring's.
fn rows<'a>(series: impl Iterator<Item = &'a Series>) -> Vec<Row> {
    let mut rows: Vec<_> = series.filter_map(|series| row(&series.measured)).collect();
    if let Some((calls, p50)) = rows.first().map(|first| (first.calls_per_second, first.p50_us)) {
        for row in &mut rows {
            row.skyring_calls_ratio = calls / row.calls_per_second;
            row.skyring_p50_ratio = p50 / row.p50_us;
        }
    }
    rows
}

/// The medians, each figure for itself.
fn row(measured: &[Measured]) -> Option<Row> {
    let last = measured.last()?;
    let of = |figure: fn(&Measured) -> f64| median(measured.iter().map(figure).collect());
    let cpu = of(|one| {
        let server = one.cpu_seconds.server.unwrap_or(f64::NAN);
        (one.cpu_seconds.client + server) * 1e6 / one.calls as f64
    });
    Some(Row {
        name: last.name,
        calls_per_second: of(|one| one.calls_per_second),
        p50_us: of(|one| one.latency_us.p50),
        p99_us: of(|one| one.latency_us.p99),
        cpu_us_per_call: cpu.is_finite().then_some(cpu),
        errors: measured.iter().map(|one| one.errors).sum(),
        skyring_calls_ratio: 1.0,
        skyring_p50_ratio: 1.0,
        note: last.note.clone(),
    })
}

/// The middle one; of an even number, the mean of the two in the middle. Not a number when there is none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.get(middle) {
        None => f64::NAN,
        Some(&upper) if figures.len() % 2 == 1 => upper,
        Some(&upper) => (figures[middle - 1] + upper) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::CpuSeconds;
    use crate::report::Latency;

    fn measured(name: &'static str, calls_per_second: f64, p50: f64, server: Option<f64>) -> Measured {
        Measured {
            name,
            calls: 1_000,
            calls_per_second,
            latency_us: Latency {
                p50,
                ..Latency::default()
            },
            errors: 1,
            in_flight: 1,
            size: 64,
            seconds: 1.0,
            cpu_seconds: CpuSeconds {
                client: 0.001,
                server,
            },
            note: "as it is".to_owned(),
        }
    }

    fn plan(spin_us: u64) -> Plan {
        Plan {
            peers: vec![Peer::Glommio, Peer::RedisGet],
            in_flight: vec![1, 8],
            size: 64,
            spin: Duration::from_micros(spin_us),
            duration: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            runs: 3,
            skynet: None,
        }
    }

    /// A table of everybody in `plan`, whose figures are 1, 2, 3 times those of its place.
    pub(super) fn table() -> Table {
        let plan = plan(50);
        let mut all = plan.series();
        for (place, series) in all.iter_mut().enumerate() {
            let calls = 1_000.0 * (place + 1) as f64;
            series.measured = [3.0, 1.0, 2.0]
                .map(|factor| measured(series.contender.name(), calls * factor, 1e6 / calls, Some(0.001)))
                .into();
        }
        Table {
            size: 64,
            runs: 3,
            seconds: 1.0,
            groups: plan.groups(&all),
            missing: vec![Missing {
                name: "tonic",
                reason: "\"not\" <here>\n".to_owned(),
                failed: false,
            }],
        }
    }

    #[test]
    fn a_median_is_the_middle_and_of_two_their_mean() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 2.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn every_run_has_everybody_once_and_in_another_order() {
        let orders: Vec<_> = (1..=5).map(|run| order(run, 20)).collect();
        for (run, order) in orders.iter().enumerate() {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..20).collect::<Vec<_>>());
            assert!(!orders[..run].contains(order), "{orders:?}");
        }
        assert_eq!((order(1, 0), order(1, 1)), (vec![], vec![0]));
    }

    #[test]
    fn what_never_spins_is_measured_once_and_stands_in_both_settings() {
        let series = plan(50).series();
        let of = |name: &str| {
            series
                .iter()
                .filter(|series| series.contender.name() == name)
                .count()
        };
        assert_eq!((of("skyring"), of("glommio"), of("redis-get")), (4, 4, 2));
        let table = table();
        let settings: Vec<_> = table
            .groups
            .iter()
            .map(|group| (group.in_flight, group.spin_us))
            .collect();
        assert_eq!(settings, [(1, 0), (1, 50), (8, 0), (8, 50)]);
        for group in &table.groups {
            let names: Vec<_> = group.rows.iter().map(|row| row.name).collect();
            assert_eq!(names, ["skyring", "skyring-skynet", "glommio", "redis-get"]);
        }
        assert_eq!(table.groups[0].rows[3], {
            let mut row = table.groups[1].rows[3].clone();
            row.skyring_calls_ratio = table.groups[0].rows[3].skyring_calls_ratio;
            row.skyring_p50_ratio = table.groups[0].rows[3].skyring_p50_ratio;
            row
        });
        assert_eq!(plan(0).groups(&plan(0).series()).len(), 2);
    }

    #[test]
    fn ratios_are_of_medians_to_skyring_in_the_same_setting() {
        let row = &table().groups[0].rows[2];
        // Skyring's place is the first, glommio's the fifth.
        assert_eq!((row.name, row.calls_per_second), ("glommio", 10_000.0));
        assert!((row.skyring_calls_ratio - 0.2).abs() < 1e-9, "{row:?}");
        assert!((row.skyring_p50_ratio - 5.0).abs() < 1e-9, "{row:?}");
        assert_eq!((row.cpu_us_per_call, row.errors), (Some(2.0), 3));
        assert_eq!(row_of_unknown_cpu().cpu_us_per_call, None);
    }

    fn row_of_unknown_cpu() -> Row {
        row(&[measured("redis-get", 1.0, 1.0, None)]).expect("one was measured")
    }
}
