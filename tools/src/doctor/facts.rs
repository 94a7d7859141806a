//! What the system says about itself. A fact that it does not tell is `None`.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};
use skyring::{Node, Runtime};

/// The machine as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The runtime that a node would use.
    pub(super) runtime: Runtime,
    /// Why that runtime does not work here, and what to do; `None` = it works.
    pub(super) runtime_error: Option<String>,
    /// The kernel's version, as in `6.18.44`.
    pub(super) kernel: String,
    /// How many files may be open: the limit of the process, and the one that it may raise that to.
    pub(super) open_files: Option<(u64, u64)>,
    /// Processors that this process may use.
    pub(super) processors: usize,
    /// The share of them that its control group allows, in processors.
    pub(super) processor_quota: Option<f64>,
    /// The frequency governor of the first processor.
    pub(super) governor: Option<String>,
    /// Memory that is free or can be freed, in bytes, and what is left below the limit of the control group.
    pub(super) memory_available: Option<u64>,
    pub(super) memory_left: Option<u64>,
    /// The source of the kernel's clock.
    pub(super) clock_source: Option<String>,
    /// The part of the processors' time since the start that the host took for others, 0 to 1.
    pub(super) steal: Option<f64>,
    /// The most connections that may wait to be accepted.
    pub(super) somaxconn: Option<u64>,
    /// The ports of outgoing connections, first and last.
    pub(super) outgoing_ports: Option<(u16, u16)>,
    /// Whether sessions share the processors, and threads only within their session: 1 or 0.
    pub(super) autogroup: Option<u8>,
    /// Who may take profiles.
    pub(super) perf_event_paranoid: Option<i64>,
}

impl Facts {
    /// Those of this machine.
    pub(super) fn read(runtime: Runtime) -> Facts {
        let open_files = getrlimit(Resource::Nofile);
        Facts {
            runtime,
            runtime_error: Node::check_runtime(runtime).err().map(|error| error.to_string()),
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
            open_files: Some((
                open_files.current.unwrap_or(u64::MAX),
                open_files.maximum.unwrap_or(u64::MAX),
            )),
            processors: processors(),
            processor_quota: text("/sys/fs/cgroup/cpu.max").and_then(|text| quota(&text)),
            governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_available: text("/proc/meminfo").and_then(|text| memory_available(&text)),
            memory_left: memory_left(),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            steal: text("/proc/stat").and_then(|text| steal(&text)),
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            outgoing_ports: text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| ports(&text)),
            autogroup: number("/proc/sys/kernel/sched_autogroup_enabled"),
            perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        }
    }
}

fn text(file: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned())
}

fn number<T: std::str::FromStr>(file: &str) -> Option<T> {
    text(file)?.parse().ok()
}

fn processors() -> usize {
    sched_getaffinity(None).map_or(0, |allowed| {
        (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).count()
    })
}

/// The number of processors in a file `cpu.max`: a quota and a period in microseconds, or `max` for no limit.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then(|| quota / period)
}

fn memory_left() -> Option<u64> {
    let max: u64 = number("/sys/fs/cgroup/memory.max")?;
    let current: u64 = number("/sys/fs/cgroup/memory.current")?;
    Some(max.saturating_sub(current))
}

fn memory_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The part that the host took of all processors' time, in the first line of `/proc/stat`.
fn steal(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<f64> = line
        .split_ascii_whitespace()
        .map_while(|time| time.parse().ok())
        .collect();
    // The times of guests, which follow, are in the first two already.
    let all: f64 = times.get(..8)?.iter().sum();
    (all > 0.0).then(|| times[7] / all)
}

fn ports(range: &str) -> Option<(u16, u16)> {
    let mut ports = range.split_ascii_whitespace();
    Some((ports.next()?.parse().ok()?, ports.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_processors_memory_and_a_kernel() {
        let facts = Facts::read(Runtime::Uring);
        assert!(facts.processors > 0 && facts.kernel.contains('.'), "{facts:?}");
        assert!(facts.memory_available > Some(1 << 20), "{facts:?}");
    }

    #[test]
    fn what_the_kernel_writes_is_parsed() {
        assert_eq!(quota("200000 100000"), Some(2.0));
        assert_eq!((quota("max 100000"), quota("")), (None, None));
        assert_eq!(
            memory_available("MemFree: 1 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(memory_available("MemFree: 1 kB\n"), None);
        assert_eq!(steal("cpu  10 0 10 60 0 0 0 20 5 5\ncpu0 1\n"), Some(0.2));
        assert_eq!((steal("cpu  1 2"), steal("cpu 0 0 0 0 0 0 0 0")), (None, None));
        assert_eq!(ports("32768\t60999"), Some((32768, 60999)));
        assert_eq!(ports("x"), None);
    }
}
