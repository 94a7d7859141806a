//! The frequency of processors, and how often heat made them slower, as far as the system shows it.
//!
//! A virtual machine hardly ever has these files; then nothing is known, and the speed of a loop is all there is.

use std::fs;
use std::path::Path;

/// The folder that has one for each processor.
const FOLDER: &str = "/sys/devices/system/cpu";

/// Counters of heat: of a processor and of its package, whichever there are.
const HEAT: [&str; 2] = [
    "thermal_throttle/core_throttle_count",
    "thermal_throttle/package_throttle_count",
];

/// What was seen between some moments.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Frequencies {
    /// The lowest and the highest frequency, in MHz; `None` when none is visible.
    pub(super) mhz: Option<(f64, f64)>,
    /// How often heat made a processor slower; `None` when that is not visible.
    pub(super) heat_throttles: Option<u64>,
}

impl Frequencies {
    /// What those processors have now; the counters of heat are those since the machine started.
    pub(super) fn now(cpus: &[usize]) -> Frequencies {
        Frequencies::read(Path::new(FOLDER), cpus)
    }

    fn read(folder: &Path, cpus: &[usize]) -> Frequencies {
        let number = |cpu: &usize, file: &str| -> Option<u64> {
            let text = fs::read_to_string(folder.join(format!("cpu{cpu}")).join(file)).ok()?;
            text.trim().parse().ok()
        };
        let khz = cpus
            .iter()
            .filter_map(|cpu| number(cpu, "cpufreq/scaling_cur_freq"));
        let heat = cpus
            .iter()
            .flat_map(|cpu| HEAT.iter().filter_map(move |file| number(cpu, file)));
        Frequencies {
            mhz: khz
                .map(|khz| khz as f64 / 1e3)
                .fold(None, |range, mhz| widened(range, Some((mhz, mhz)))),
            heat_throttles: heat.fold(None, |sum, count| Some(sum.unwrap_or(0) + count)),
        }
    }

    /// What was seen from `before` until these were read.
    pub(super) fn since(self, before: Frequencies) -> Frequencies {
        Frequencies {
            mhz: widened(self.mhz, before.mhz),
            heat_throttles: self
                .heat_throttles
                .zip(before.heat_throttles)
                .map(|(after, before)| after.saturating_sub(before)),
        }
    }

    /// What was seen in two spans of time.
    pub(super) fn and(self, other: Frequencies) -> Frequencies {
        let counts = [self.heat_throttles, other.heat_throttles];
        Frequencies {
            mhz: widened(self.mhz, other.mhz),
            heat_throttles: counts.into_iter().flatten().reduce(|one, other| one + other),
        }
    }
}

/// The range that has both.
fn widened(one: Option<(f64, f64)>, other: Option<(f64, f64)>) -> Option<(f64, f64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn frequencies_and_heat_are_those_of_the_named_processors() {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in [
            ("cpu0/cpufreq/scaling_cur_freq", "2400000\n"),
            ("cpu1/cpufreq/scaling_cur_freq", "3100000\n"),
            ("cpu2/cpufreq/scaling_cur_freq", "800000\n"),
            ("cpu0/thermal_throttle/core_throttle_count", "3\n"),
            ("cpu1/thermal_throttle/package_throttle_count", "4\n"),
        ] {
            write(folder.path(), file, text);
        }
        let before = Frequencies::read(folder.path(), &[0, 1]);
        assert_eq!(
            (before.mhz, before.heat_throttles),
            (Some((2_400.0, 3_100.0)), Some(7))
        );
        write(folder.path(), "cpu0/cpufreq/scaling_cur_freq", "1200000");
        write(folder.path(), "cpu0/thermal_throttle/core_throttle_count", "5");
        let seen = Frequencies::read(folder.path(), &[0, 1]).since(before);
        assert_eq!(
            (seen.mhz, seen.heat_throttles),
            (Some((1_200.0, 3_100.0)), Some(2))
        );
        assert_eq!(seen.and(seen).heat_throttles, Some(4));
        assert_eq!(seen.and(Frequencies::default()), seen);
    }

    #[test]
    fn what_a_machine_does_not_show_is_not_known() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "cpu0/cpufreq/scaling_cur_freq", "unknown");
        let seen = Frequencies::read(folder.path(), &[0, 7]);
        assert_eq!(seen, Frequencies::default());
        assert_eq!(seen.since(seen), Frequencies::default());
    }
}
