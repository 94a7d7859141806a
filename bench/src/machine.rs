//! The machine on which figures were measured.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::cpu::allowed_cpus;

/// Facts of a machine that figures depend on. A fact that the system does not provide is empty or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The model of its processors.
    pub processor: String,
    /// How many of them this process may use.
    pub processors: usize,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// The kernel's name and version.
    pub kernel: String,
    /// The instruction set.
    pub architecture: String,
    /// The version of Skyring.
    pub skyring: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let kernel = |name: &str| read(&format!("/proc/sys/kernel/{name}")).trim().to_owned();
        Machine {
            processor: after(&read("/proc/cpuinfo"), "model name").to_owned(),
            processors: allowed_cpus().map_or(0, |cpus| cpus.len()),
            memory_bytes: kibibytes(after(&read("/proc/meminfo"), "MemTotal")) * 1_024,
            kernel: format!("{} {}", kernel("ostype"), kernel("osrelease"))
                .trim()
                .to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            skyring: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The text after the first `key` and its colon in a file of the kernel.
fn after<'a>(file: &'a str, key: &str) -> &'a str {
    let line = file.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or("", |(_, value)| value.trim())
}

fn kibibytes(text: &str) -> u64 {
    let number = text.split_ascii_whitespace().next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_knows_what_it_is() {
        let machine = Machine::this();
        assert!(
            machine.processors > 0 && machine.memory_bytes > 1 << 20,
            "{machine:?}"
        );
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
    }

    #[test]
    fn what_the_kernel_does_not_provide_is_empty() {
        assert_eq!(after("a : b\n", "c"), "");
        assert_eq!((kibibytes(""), kibibytes("12 kB")), (0, 12));
    }
}
