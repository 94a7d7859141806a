//! The stacks of a profile, and the file that keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a profile counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profiling {
    /// Processor time, in samples.
    #[default]
    Processor,
    /// Time in which threads do not run, in nanoseconds.
    Waiting,
}

/// Stacks, with the number of samples of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What is counted.
    #[serde(default)]
    pub profiling: Profiling,
    /// Names from the outermost on, separated by `;`, and the number of samples, or of nanoseconds of waiting.
    pub stacks: Vec<(String, u64)>,
    /// Samples a second of each busy thread, or nanoseconds a second.
    pub frequency: u32,
    /// Samples that the kernel could not keep.
    pub lost: u64,
    /// Whether the kernel's own frames are included; the kernel may hide them.
    pub has_kernel: bool,
    /// Calls that were answered during the profile, if that is known.
    pub calls: Option<u64>,
}

impl Profile {
    /// The number of samples, or of nanoseconds.
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|(_, count)| count).sum()
    }

    /// The time of all samples, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples() as f64 / f64::from(self.frequency.max(1))
    }

    /// Both profiles as one, of the same program. Times of samples at different frequencies cannot be added, so those of `self`
    /// are kept.
    #[must_use]
    pub fn and(self, other: Profile) -> Profile {
        if (self.profiling, self.frequency) != (other.profiling, other.frequency) {
            return self;
        }
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for (stack, count) in self.stacks.into_iter().chain(other.stacks) {
            *stacks.entry(stack).or_default() += count;
        }
        Profile {
            profiling: self.profiling,
            stacks: stacks.into_iter().collect(),
            frequency: self.frequency,
            lost: self.lost + other.lost,
            has_kernel: self.has_kernel && other.has_kernel,
            calls: self.calls.zip(other.calls).map(|(one, other)| one + other),
        }
    }

    /// The profile as one line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: there are no maps.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A profile that was written as JSON.
    ///
    /// # Errors
    /// A text with the cause.
    pub fn from_json(text: &str) -> Result<Profile, String> {
        let profile: Profile =
            serde_json::from_str(text).map_err(|error| format!("it is no profile of skyring: {error}"))?;
        if profile.frequency == 0 || profile.samples() == 0 {
            return Err("it has no samples".to_owned());
        }
        Ok(profile)
    }
}
