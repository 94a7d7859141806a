//! The plan of a ledger.

use std::path::PathBuf;
use std::time::Duration;

use skyring::Address;
use skyring::config::WhenDown;

/// Most callers of a ledger.
pub const LEDGER_CALLERS_MAX: usize = 4_096;

/// How much later than its deadline a call may end before that is a violation: the delay that an overloaded machine may
/// add.
pub const LATE_TOLERANCE: Duration = Duration::from_secs(1);

/// The called service, and the calls.
#[derive(Debug, Clone)]
pub struct LedgerPlan {
    /// The node, by its name in the map.
    pub node: String,
    /// The service of the kind `ledger` there.
    pub address: Address,
    /// Callers: the first half posts its calls, the other awaits them.
    pub callers: usize,
    /// Calls a second, of all callers together.
    pub rate: u32,
    /// The deadline of each call.
    pub timeout: Duration,
    /// The most bytes of a call beside its numbers.
    pub size_max: usize,
    /// What happens to calls while the node is down.
    pub when_down: WhenDown,
    /// The folders of the callees' journals.
    pub journals: Vec<PathBuf>,
    /// The calls are marked idempotent: running one twice is no violation, nor is another order. Only awaiting callers
    /// mark their calls, so then all callers await.
    pub is_idempotent: bool,
}
