//! The costs of a call.

use serde::{Deserialize, Serialize};

/// A cost of each side, for a call; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sides {
    /// Of the calling process.
    pub client: Option<f64>,
    /// Of the called process, if it was started here.
    pub server: Option<f64>,
}

/// What a call costs beside time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallCosts {
    /// System calls.
    pub system_calls: Sides,
    /// Allocations of the calling process.
    pub allocations: Sides,
    /// Bytes that the client's connections sent, the headers of TCP and IP left out.
    pub bytes_sent: Option<f64>,
    /// Bytes that they received.
    pub bytes_received: Option<f64>,
    /// Cycles of the processor.
    pub cycles: Sides,
    /// Instructions.
    pub instructions: Sides,
    /// Cache misses.
    pub cache_misses: Sides,
    /// Branches that were predicted wrong.
    pub branch_misses: Sides,
    /// How many calls were counted.
    pub calls: u64,
    /// Why something is not known.
    pub missing: Vec<String>,
}

impl CallCosts {
    /// The same with figures rounded to a thousandth.
    pub(crate) fn rounded(&self) -> CallCosts {
        let round = |number: Option<f64>| number.map(|number| (number * 1e3).round() / 1e3);
        let both = |sides: Sides| Sides {
            client: round(sides.client),
            server: round(sides.server),
        };
        CallCosts {
            system_calls: both(self.system_calls),
            allocations: both(self.allocations),
            bytes_sent: round(self.bytes_sent),
            bytes_received: round(self.bytes_received),
            cycles: both(self.cycles),
            instructions: both(self.instructions),
            cache_misses: both(self.cache_misses),
            branch_misses: both(self.branch_misses),
            ..self.clone()
        }
    }
}
