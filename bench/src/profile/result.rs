//! The stacks of a profile.

/// Stacks, with the number of samples of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Names from the outermost on, separated by `;`, and the number of samples.
    pub stacks: Vec<(String, u64)>,
    /// Samples a second of each busy thread.
    pub frequency: u32,
    /// Samples that the kernel could not keep.
    pub lost: u64,
    /// Whether the kernel's own frames are included; the kernel may hide them.
    pub has_kernel: bool,
}

impl Profile {
    /// The number of samples.
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|(_, count)| count).sum()
    }
}
