//! The registers of a sample, which depend on the architecture.

use framehop::UnwindRegsNative;

pub(super) use self::architecture::{MASK, read};

/// The registers of a sample.
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) unwind: UnwindRegsNative,
}

/// The sampled registers of this architecture, in the order of their bits.
#[cfg(target_arch = "x86_64")]
mod architecture {
    use super::{Registers, UnwindRegsNative};

    /// The base pointer, the stack pointer and the instruction pointer.
    pub(in super::super) const MASK: u64 = 1 << 6 | 1 << 7 | 1 << 8;

    pub(in super::super) fn read(values: &[u64]) -> Option<Registers> {
        let &[base, stack, instruction] = values else {
            return None;
        };
        Some(Registers {
            instruction,
            stack,
            unwind: UnwindRegsNative::new(instruction, stack, base),
        })
    }
}

/// The sampled registers of this architecture, in the order of their bits.
#[cfg(target_arch = "aarch64")]
mod architecture {
    use super::{Registers, UnwindRegsNative};

    /// The frame pointer, the link register, the stack pointer and the program counter.
    pub(in super::super) const MASK: u64 = 1 << 29 | 1 << 30 | 1 << 31 | 1 << 32;

    pub(in super::super) fn read(values: &[u64]) -> Option<Registers> {
        let &[frame, link, stack, instruction] = values else {
            return None;
        };
        Some(Registers {
            instruction,
            stack,
            unwind: UnwindRegsNative::new(link, stack, frame),
        })
    }
}
