//! The kernel's counters of what else happened during a load.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::frequency::Frequencies;
use crate::cpu::{allowed_cpus, cpu_seconds};

/// Ticks a second in `/proc/stat`: the same for every Linux that programs see.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the kernel counted, of the processors that this process may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counters {
    /// Seconds in which a processor did something.
    busy: f64,
    /// Seconds that the host gave to others.
    steal: f64,
    /// Seconds in which a cgroup's limit kept this process waiting; `None` when that is not visible.
    throttled: Option<f64>,
}

/// What happened during a load, in seconds of the processors' time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Activity {
    available: f64,
    steal: f64,
    /// `None` when the load's own part is not known.
    other: Option<f64>,
    /// Of this process's time.
    pub(super) throttled_seconds: Option<f64>,
    pub(super) frequencies: Frequencies,
}

impl Activity {
    fn percent(&self, seconds: f64) -> f64 {
        (seconds / self.available.max(1e-3) * 100.0).clamp(0.0, 100.0)
    }

    pub(super) fn steal_percent(&self) -> f64 {
        self.percent(self.steal)
    }

    pub(super) fn other_percent(&self) -> Option<f64> {
        self.other.map(|seconds| self.percent(seconds))
    }
}

/// Counts from a time on.
#[derive(Debug)]
pub struct Watch {
    processes: Vec<u32>,
    cpus: Vec<usize>,
    started: Instant,
    counters: Counters,
    frequencies: Frequencies,
    own: Option<f64>,
}

/// What was counted until the end of a load.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watched(pub(super) Activity);

impl Watch {
    /// Begins. The processor time of those processes is that of the measurement itself.
    pub fn start(processes: Vec<u32>) -> Watch {
        let cpus = allowed_cpus().unwrap_or_default();
        Watch {
            started: Instant::now(),
            counters: Counters::now(&cpus),
            frequencies: Frequencies::now(&cpus),
            own: own_seconds(&processes),
            processes,
            cpus,
        }
    }

    /// What happened since.
    pub fn end(&self) -> Watched {
        let (now, own) = (Counters::now(&self.cpus), own_seconds(&self.processes));
        let own = own.zip(self.own).map(|(after, before)| after - before);
        Watched(Activity {
            available: self.started.elapsed().as_secs_f64() * self.cpus.len().max(1) as f64,
            steal: now.steal - self.counters.steal,
            other: own.map(|own| now.busy - self.counters.busy - own),
            throttled_seconds: now
                .throttled
                .zip(self.counters.throttled)
                .map(|(after, before)| after - before),
            frequencies: Frequencies::now(&self.cpus).since(self.frequencies),
        })
    }
}

impl Watched {
    /// What happened in two spans of time.
    #[must_use]
    pub fn and(self, other: Watched) -> Watched {
        let (one, other) = (self.0, other.0);
        let sum = |one: Option<f64>, other: Option<f64>| {
            [one, other]
                .into_iter()
                .flatten()
                .reduce(|one, other| one + other)
        };
        Watched(Activity {
            available: one.available + other.available,
            steal: one.steal + other.steal,
            other: sum(one.other, other.other),
            throttled_seconds: sum(one.throttled_seconds, other.throttled_seconds),
            frequencies: one.frequencies.and(other.frequencies),
        })
    }
}

/// Processor time of all the processes; `None` when one has ended, or none is named.
fn own_seconds(processes: &[u32]) -> Option<f64> {
    let seconds: Option<Vec<f64>> = processes.iter().map(|process| cpu_seconds(*process)).collect();
    let seconds = seconds.filter(|seconds| !seconds.is_empty())?;
    Some(seconds.iter().sum())
}

impl Counters {
    fn now(cpus: &[usize]) -> Counters {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (busy, steal) = of_processors(&stat, cpus);
        Counters {
            busy,
            steal,
            throttled: throttled_seconds(),
        }
    }
}

/// Busy and stolen seconds of those processors in the text of `/proc/stat`.
fn of_processors(stat: &str, cpus: &[usize]) -> (f64, f64) {
    let (mut busy, mut steal) = (0.0, 0.0);
    for line in stat.lines() {
        let mut fields = line.split_ascii_whitespace();
        let number = fields.next().and_then(|name| name.strip_prefix("cpu"));
        let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else {
            continue;
        };
        if !cpus.contains(&number) {
            continue;
        }
        let ticks: Vec<f64> = fields.map_while(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let of = |place: usize| ticks.get(place).copied().unwrap_or(0.0) / TICKS_PER_SECOND;
        busy += of(0) + of(1) + of(2) + of(5) + of(6);
        steal += of(7);
    }
    (busy, steal)
}

/// How long the limit of this process's cgroup kept it waiting, in seconds. Limits of groups that are not visible, such as
/// those around a container, show as gaps.
fn throttled_seconds() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let roots: &[&str] = match controllers {
            "" => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            controllers if controllers.split(',').any(|name| name == "cpu") => {
                &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
            }
            _ => return None,
        };
        roots.iter().find_map(|root| {
            let folder = Path::new(root).join(group.trim_start_matches('/'));
            throttled_in(&fs::read_to_string(folder.join("cpu.stat")).ok()?)
        })
    })
}

/// The throttled seconds in the text of a `cpu.stat`, of either version of cgroups.
fn throttled_in(text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value: f64 = value.trim().parse().ok()?;
        match name {
            "throttled_usec" => Some(value / 1e6),
            "throttled_time" => Some(value / 1e9),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_the_allowed_processors_are_added() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 200 300 999 50 10 20 40 0 0\n\
                    cpu1 1 1 1 1 1 1 1 1 0 0\ncpu2 100 0 0 0 0 0 0 60 0 0\nintr 5\n";
        let (busy, steal) = of_processors(stat, &[0, 2]);
        assert!(
            (busy - 7.3).abs() < 1e-9 && (steal - 1.0).abs() < 1e-9,
            "{busy} {steal}"
        );
        assert_eq!(of_processors("", &[0]), (0.0, 0.0));
        assert_eq!(of_processors("cpu0 x y\n", &[0]), (0.0, 0.0));
    }

    #[test]
    fn both_versions_of_cgroups_count_throttling() {
        assert_eq!(throttled_in("nr_periods 3\nthrottled_usec 2500000\n"), Some(2.5));
        assert_eq!(
            throttled_in("nr_throttled 1\nthrottled_time 1000000000\n"),
            Some(1.0)
        );
        assert_eq!(throttled_in("usage_usec 5\n"), None);
    }

    #[test]
    fn a_watch_knows_other_programs_only_beside_the_loads_own_processes() {
        let Watched(activity) = Watch::start(vec![std::process::id()]).end();
        assert!((0.0..=100.0).contains(&activity.steal_percent()), "{activity:?}");
        assert!(activity.other_percent().is_some(), "{activity:?}");
        let Watched(activity) = Watch::start(Vec::new()).end();
        assert_eq!(activity.other_percent(), None);
    }

    #[test]
    fn spans_of_time_are_added_by_their_length() {
        let span = |available, steal, other| {
            Watched(Activity {
                available,
                steal,
                other,
                ..Activity::default()
            })
        };
        let Watched(both) = span(3.0, 0.0, Some(0.3)).and(span(1.0, 0.4, Some(0.5)));
        assert!((both.steal_percent() - 10.0).abs() < 1e-9, "{both:?}");
        assert!((both.other_percent().unwrap() - 20.0).abs() < 1e-9, "{both:?}");
        let Watched(nothing) = Watched::default();
        assert_eq!((nothing.steal_percent(), nothing.other_percent()), (0.0, None));
    }
}
