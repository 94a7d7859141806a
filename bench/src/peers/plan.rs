//! The plan of a comparison: the series of each contender, and the order of the runs.

use std::path::PathBuf;
use std::time::Duration;

use super::contender::{Contender, VARIANTS};
use super::skyring;
use super::table::{Group, Missing, Table, row, set_ratios};
use crate::floors::{Launcher, Peer, PeerError, PeerResult, Settings};
use crate::interrupt::Interrupt;
use crate::node_process::Program;

/// The settings of a comparison.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The peers that are measured beside Skyring.
    pub peers: Vec<Peer>,
    /// The numbers of calls in flight, each with groups of its own in the table.
    pub in_flight: Vec<usize>,
    /// Size of the value, in bytes.
    pub size: usize,
    /// How long those that can spin poll for work before they sleep, in the spinning setting; zero = no such setting.
    pub spin: Duration,
    /// The measured time of each contender in each setting and run.
    pub duration: Duration,
    /// The time before it, whose calls are not counted.
    pub warm_up: Duration,
    /// How often each contender is measured; at least once.
    pub runs: usize,
    /// A checkout of Skynet that is built, if there is one.
    pub skynet: Option<PathBuf>,
}

/// The results of one contender in one setting, one for each run.
struct Series {
    contender: Contender,
    in_flight: usize,
    spin: Duration,
    results: Vec<PeerResult>,
}

impl Plan {
    /// The peers that answer calls; the one-way stream does not.
    pub fn callable() -> Vec<Peer> {
        let mut peers = Peer::ALL.to_vec();
        peers.retain(|peer| *peer != Peer::BlockingStream);
        peers
    }

    /// Measures all contenders. `node` runs a server of Skyring's, `launcher` those of the floors; `progress` is called
    /// with the run, counted from 1, and the name of the contender.
    ///
    /// # Errors
    /// [`PeerError`] when Skyring itself has no figures, or the user interrupts.
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
                let result = match series.contender {
                    Contender::Skyring(variant) => Ok(skyring::measure(variant, &settings, node, interrupt)?),
                    Contender::Peer(peer) => peer.measure(&settings, launcher, interrupt),
                };
                match result {
                    Ok(result) => series.results.push(result),
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

    /// Parking first, and spinning if there is such a setting.
    fn spins(&self) -> Vec<Duration> {
        let mut spins = vec![Duration::ZERO];
        spins.extend((!self.spin.is_zero()).then_some(self.spin));
        spins
    }

    /// Every contender in every setting that makes a difference to it, in the order of the table.
    fn series(&self) -> Vec<Series> {
        let ours = VARIANTS.iter().map(Contender::Skyring);
        let peers = self.peers.iter().copied().map(Contender::Peer);
        let contenders: Vec<_> = ours.chain(peers).collect();
        let mut all = Vec::new();
        for &in_flight in &self.in_flight {
            for &contender in &contenders {
                for spin in self.spins() {
                    if spin.is_zero() || contender.spins() {
                        all.push(Series {
                            contender,
                            in_flight,
                            spin,
                            results: Vec::new(),
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
                let mut rows: Vec<_> = all
                    .iter()
                    .filter(here)
                    .filter_map(|series| row(&series.results))
                    .collect();
                set_ratios(&mut rows);
                groups.push(Group {
                    in_flight,
                    spin_us: spin.as_micros() as u64,
                    rows,
                });
            }
        }
        groups
    }
}

/// The order of a run: every place once, in another order each run, and the same when the run is repeated. The state of a
/// processor depends for a while on its last work, so a fixed predecessor would favour some contenders.
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

#[cfg(test)]
pub(super) mod tests {
    use super::super::table::Row;
    use super::*;
    use crate::cpu::CpuSeconds;
    use crate::latency::Latency;

    fn result(name: &'static str, calls_per_second: f64, p50: f64, server: Option<f64>) -> PeerResult {
        PeerResult {
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

    /// A table of all contenders of `plan`, whose figures are 1, 2, 3 times those of their places.
    pub(in crate::peers) fn table() -> Table {
        let plan = plan(50);
        let mut all = plan.series();
        for (place, series) in all.iter_mut().enumerate() {
            let calls = 1_000.0 * (place + 1) as f64;
            series.results = [3.0, 1.0, 2.0]
                .map(|factor| result(series.contender.name(), calls * factor, 1e6 / calls, Some(0.001)))
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
    fn every_run_has_each_contender_once_and_in_another_order() {
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
    fn a_contender_that_never_spins_is_measured_once_and_listed_in_both_settings() {
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
            assert_eq!(
                names,
                [
                    "skyring",
                    "skyring-skynet",
                    "skyring-glommio",
                    "glommio",
                    "redis-get"
                ]
            );
        }
        assert_eq!(table.groups[0].rows[4], {
            let mut row = table.groups[1].rows[4].clone();
            row.skyring_calls_ratio = table.groups[0].rows[4].skyring_calls_ratio;
            row.skyring_p50_ratio = table.groups[0].rows[4].skyring_p50_ratio;
            row
        });
        assert_eq!(plan(0).groups(&plan(0).series()).len(), 2);
    }

    #[test]
    fn ratios_are_of_medians_to_skyring_in_the_same_setting() {
        let row = &table().groups[0].rows[3];
        // Skyring's place is the first, glommio's the seventh.
        assert_eq!((row.name, row.calls_per_second), ("glommio", 14_000.0));
        assert!((row.skyring_calls_ratio - 1.0 / 7.0).abs() < 1e-9, "{row:?}");
        assert!((row.skyring_p50_ratio - 7.0).abs() < 1e-9, "{row:?}");
        assert_eq!((row.cpu_us_per_call, row.errors), (Some(2.0), 3));
        assert_eq!(row_of_unknown_cpu().cpu_us_per_call, None);
    }

    fn row_of_unknown_cpu() -> Row {
        row(&[result("redis-get", 1.0, 1.0, None)]).expect("one was measured")
    }
}
