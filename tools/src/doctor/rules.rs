//! The rules by which a machine is judged: from facts to findings, and nothing else.

use skyring::Runtime;

use super::facts::Facts;
use super::finding::{Finding, Level, counted};

/// The oldest kernel whose receives share buffers.
const KERNEL_GOOD: (u32, u32) = (6, 12);

/// Below this many open files a gate or a node of a large cluster reaches the limit.
const OPEN_FILES_GOOD: u64 = 16_384;

/// Below this much free memory a node of some services and connections may not fit, in bytes.
const MEMORY_GOOD: u64 = 256 << 20;

/// More of the processors' time taken by the host than this is seen in latencies.
const STEAL_GOOD: f64 = 0.01;

/// Connections that the engine's listeners ask the kernel to queue.
const BACKLOG: u64 = 1_024;

/// Clock sources that are read without a system call.
const CLOCKS_FAST: [&str; 4] = [
    "tsc",
    "kvm-clock",
    "arch_sys_counter",
    "hyperv_clocksource_tsc_page",
];

/// The largest `perf_event_paranoid` with which users may profile their own processes, kernel included.
const PARANOID_GOOD: i64 = 1;

/// Judges a machine.
pub(super) fn machine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts), runtime(facts)];
    findings.extend(open_files(facts));
    findings.push(processors(facts));
    findings.extend(governor(facts));
    findings.extend(memory(facts));
    findings.extend(clock(facts));
    findings.extend(steal(facts));
    findings.extend(queue(facts));
    findings.extend(autogroup(facts));
    findings.extend(profiles(facts));
    findings
}

/// Major and minor version of a kernel.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts) -> Finding {
    let release = &facts.kernel;
    match version(release) {
        Some(version) if version >= KERNEL_GOOD => Finding::new(Level::Ok, "kernel", release),
        Some(_) => {
            let (major, minor) = KERNEL_GOOD;
            Finding::new(
                Level::Note,
                "kernel",
                format!("{release}: from {major}.{minor} on, small messages of many connections cost less"),
            )
        }
        None => Finding::new(Level::Note, "kernel", "its version is unknown"),
    }
}

fn runtime(facts: &Facts) -> Finding {
    let name = facts.runtime.name();
    match &facts.runtime_error {
        Some(error) => Finding::new(Level::Failure, "io_uring", format!("runtime {name}: {error}")),
        None => {
            let other = match facts.runtime {
                Runtime::Uring => "",
                Runtime::Glommio => ", which is not the default",
            };
            Finding::new(Level::Ok, "io_uring", format!("runtime {name}{other}"))
        }
    }
}

fn open_files(facts: &Facts) -> Option<Finding> {
    let (_, hard) = facts.open_files?;
    Some(if hard >= OPEN_FILES_GOOD {
        let text = match hard {
            u64::MAX => "no limit".to_owned(),
            _ => format!("a node raises its limit to {hard}"),
        };
        Finding::new(Level::Ok, "open files", text)
    } else {
        let text = format!(
            "at most {hard}, and each connection between nodes is one: raise the hard limit with LimitNOFILE= of a unit, \
             --ulimit nofile= of a container, or limits.conf"
        );
        Finding::new(Level::Warning, "open files", text)
    })
}

fn processors(facts: &Facts) -> Finding {
    let count = counted(facts.processors, "processor");
    match facts.processor_quota {
        Some(quota) if quota < facts.processors as f64 => {
            let text = format!(
                "{count}, and a limit of {quota} of them: at the limit all shards stand still for tens of \
                 milliseconds; give whole processors instead (cpuset), and as many shards"
            );
            Finding::new(Level::Warning, "processors", text)
        }
        _ => Finding::new(Level::Ok, "processors", count),
    }
}

fn governor(facts: &Facts) -> Option<Finding> {
    let governor = facts.governor.as_deref()?;
    Some(match governor {
        "performance" => Finding::new(Level::Ok, "frequency", "the governor is performance"),
        _ => {
            let text = format!(
                "the governor is {governor}: a processor that wakes up is slow at first; for low latencies set \
                 it to performance (cpupower frequency-set -g performance)"
            );
            Finding::new(Level::Note, "frequency", text)
        }
    })
}

fn memory(facts: &Facts) -> Option<Finding> {
    let left = match (facts.memory_available, facts.memory_left) {
        (Some(available), Some(left)) => available.min(left),
        (available, left) => available.or(left)?,
    };
    let mebibytes = left >> 20;
    Some(if left >= MEMORY_GOOD {
        Finding::new(Level::Ok, "memory", format!("{mebibytes} MiB free"))
    } else {
        let text = format!("{mebibytes} MiB free: raise the memory limit, or end what else uses it");
        Finding::new(Level::Warning, "memory", text)
    })
}

fn clock(facts: &Facts) -> Option<Finding> {
    let source = facts.clock_source.as_deref()?;
    Some(if CLOCKS_FAST.contains(&source) {
        Finding::new(Level::Ok, "clock", source)
    } else {
        let text = format!(
            "{source}: each look at the clock is a system call, and a node looks often; see \
             /sys/devices/system/clocksource/clocksource0/available_clocksource, and the kernel's log for why \
             the processor's own counter is not used"
        );
        Finding::new(Level::Warning, "clock", text)
    })
}

fn steal(facts: &Facts) -> Option<Finding> {
    let steal = facts.steal?;
    let percent = steal * 100.0;
    Some(if steal <= STEAL_GOOD {
        Finding::new(
            Level::Ok,
            "steal",
            format!("{percent:.2} % since the start of the machine"),
        )
    } else {
        let text = format!(
            "{percent:.1} % of the processors' time went to other machines of this host: latencies have gaps; \
             ask for processors of your own"
        );
        Finding::new(Level::Warning, "steal", text)
    })
}

fn queue(facts: &Facts) -> Option<Finding> {
    let somaxconn = facts.somaxconn?;
    Some(if somaxconn >= BACKLOG {
        Finding::new(
            Level::Ok,
            "queue",
            format!("{somaxconn} connections may wait to be accepted"),
        )
    } else {
        let text = format!(
            "{somaxconn} connections may wait to be accepted: many clients at once are refused; sysctl \
             net.core.somaxconn={BACKLOG} or more"
        );
        Finding::new(Level::Warning, "queue", text)
    })
}

fn autogroup(facts: &Facts) -> Option<Finding> {
    Some(match facts.autogroup? {
        0 => Finding::new(Level::Ok, "scheduling", "threads share the processors"),
        _ => {
            let text = "kernel.sched_autogroup_enabled is 1: sessions share the processors, and threads only within their \
                        session; a shard was seen to wait for three seconds while other sessions compiled. On a machine \
                        that does more than run nodes set it to 0";
            Finding::new(Level::Note, "scheduling", text)
        }
    })
}

fn profiles(facts: &Facts) -> Option<Finding> {
    let paranoid = facts.perf_event_paranoid?;
    Some(if paranoid <= PARANOID_GOOD {
        Finding::new(Level::Ok, "profiles", "flame graphs can show the kernel")
    } else {
        let text = format!(
            "kernel.perf_event_paranoid is {paranoid}: flame graphs of users other than root lack the kernel, or \
             are refused; {PARANOID_GOOD} allows them"
        );
        Finding::new(Level::Note, "profiles", text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::report;
    use super::*;

    fn good() -> Facts {
        Facts {
            kernel: "6.18.44-cloud".to_owned(),
            open_files: Some((1_024, 1_048_576)),
            processors: 4,
            governor: Some("performance".to_owned()),
            memory_available: Some(8 << 30),
            clock_source: Some("tsc".to_owned()),
            steal: Some(0.0001),
            somaxconn: Some(4_096),
            autogroup: Some(0),
            perf_event_paranoid: Some(1),
            ..Facts::default()
        }
    }

    /// The one thing that is not ok.
    fn only(facts: &Facts) -> Finding {
        let mut findings = machine(facts);
        findings.retain(|finding| finding.level != Level::Ok);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn a_good_machine_has_nothing_to_be_said_against_it() {
        let findings = machine(&good());
        assert_eq!(findings.len(), 11);
        assert!(
            findings.iter().all(|finding| finding.level == Level::Ok),
            "{findings:?}"
        );
    }

    #[test]
    fn the_book_shows_what_is_printed() {
        let facts = Facts {
            kernel: "6.8.0-45-generic".to_owned(),
            open_files: Some((1_024, 4_096)),
            processor_quota: Some(1.5),
            governor: None,
            steal: Some(0.034),
            autogroup: None,
            perf_event_paranoid: Some(4),
            ..good()
        };
        let text = anstream::adapter::strip_str(&report(&machine(&facts))).to_string();
        let book = include_str!("../../../docs/chapters/operating.md");
        assert!(
            book.contains(&text),
            "docs/chapters/operating.md shows something else:\n{text}"
        );
    }

    #[test]
    fn what_the_system_does_not_tell_is_left_out() {
        let findings = machine(&Facts::default());
        let names: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(names, ["kernel", "io_uring", "processors"]);
    }

    #[test]
    fn each_fault_is_one_finding_that_says_what_to_do() {
        type Fault = (fn(&mut Facts), Level, &'static str, &'static str);
        let faults: [Fault; 12] = [
            (
                |facts| facts.autogroup = Some(1),
                Level::Note,
                "scheduling",
                "set it to 0",
            ),
            (
                |facts| facts.kernel = "6.1.0-13".to_owned(),
                Level::Note,
                "kernel",
                "6.12",
            ),
            (
                |facts| facts.kernel = String::new(),
                Level::Note,
                "kernel",
                "unknown",
            ),
            (
                |facts| facts.runtime_error = Some("switched off here".to_owned()),
                Level::Failure,
                "io_uring",
                "switched off",
            ),
            (
                |facts| facts.open_files = Some((256, 1_024)),
                Level::Warning,
                "open files",
                "LimitNOFILE",
            ),
            (
                |facts| facts.processor_quota = Some(1.5),
                Level::Warning,
                "processors",
                "cpuset",
            ),
            (
                |facts| facts.governor = Some("powersave".to_owned()),
                Level::Note,
                "frequency",
                "cpupower",
            ),
            (
                |facts| facts.memory_left = Some(64 << 20),
                Level::Warning,
                "memory",
                "64 MiB",
            ),
            (
                |facts| facts.clock_source = Some("hpet".to_owned()),
                Level::Warning,
                "clock",
                "system call",
            ),
            (|facts| facts.steal = Some(0.2), Level::Warning, "steal", "20.0 %"),
            (
                |facts| facts.somaxconn = Some(128),
                Level::Warning,
                "queue",
                "net.core.somaxconn=1024",
            ),
            (
                |facts| facts.perf_event_paranoid = Some(3),
                Level::Note,
                "profiles",
                "perf_event_paranoid is 3",
            ),
        ];
        for (change, level, what, part) in faults {
            let mut facts = good();
            change(&mut facts);
            let finding = only(&facts);
            assert_eq!((finding.level, finding.what.as_str()), (level, what));
            assert!(finding.text.contains(part), "{finding:?}");
        }
    }
}
