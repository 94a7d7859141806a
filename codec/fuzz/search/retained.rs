//! The inputs that showed something new, to be mutated further.

use super::random::Random;
use crate::entries::events::FEATURES;

/// Inputs that are retained; past it a new one takes the place of an older one.
const INPUTS_MAX: usize = 8_192;

/// See the module's page.
pub(super) struct Retained {
    inputs: Vec<Vec<u8>>,
    is_seen: Vec<bool>,
    seen: usize,
}

impl Retained {
    pub(super) fn new() -> Self {
        Self {
            inputs: Vec::new(),
            is_seen: vec![false; FEATURES],
            seen: 0,
        }
    }

    /// Retains an input if it shows a feature that none before had.
    pub(super) fn offer(&mut self, random: &mut Random, input: &[u8], features: &[u32]) {
        let before = self.seen;
        for feature in features {
            if let Some(is_seen) = self.is_seen.get_mut(*feature as usize)
                && !std::mem::replace(is_seen, true)
            {
                self.seen += 1;
            }
        }
        if self.seen == before {
            return;
        }
        if self.inputs.len() < INPUTS_MAX {
            self.inputs.push(input.to_vec());
        } else {
            let at = random.below(INPUTS_MAX);
            self.inputs[at] = input.to_vec();
        }
    }

    /// One of the inputs, a recent one each second time.
    pub(super) fn pick(&self, random: &mut Random) -> &[u8] {
        let recent = self.inputs.len().min(32);
        let from = if random.chance(50) {
            self.inputs.len() - recent
        } else {
            0
        };
        let choices = self.inputs.get(from..).unwrap_or_default();
        random.pick(choices).map_or(&[], Vec::as_slice)
    }

    /// How many inputs are retained.
    pub(super) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// How many features were seen.
    pub(super) fn features(&self) -> usize {
        self.seen
    }
}
