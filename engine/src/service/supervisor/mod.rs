//! Supervisors: services that start other services, and start them again when they end.
//!
//! The [`policy`] decides, without I/O; the service in [`running`] tells it what happens, and does what it says. A
//! [`Supervisor`] and its [`Child`]ren describe what to run.
//!
//! Invariants: a supervisor that ends has ended its children before; a child has its names from its first start until
//! its supervisor gives it up.

pub(crate) mod backoff;
pub(crate) mod child;
mod policy;
#[cfg(test)]
mod policy_tests;
mod running;

use std::time::Duration;

use crate::config::Strategy;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::Handle;
use crate::core::placement::shard_of_handle;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::service::caller::Caller;
use crate::service::supervisor::child::Child;

/// Most restarts that a supervisor's intensity may allow in a period.
pub const RESTARTS_MAX: usize = 100_000;

/// Most children of one supervisor; each instance of a keyed service is one.
pub const CHILDREN_MAX: usize = 65_536;

/// A supervisor: what it starts, and what it does when one of them ends. [`Caller::supervise`] starts it.
pub struct Supervisor {
    pub(super) name: Text,
    pub(super) strategy: Strategy,
    pub(super) restarts_max: usize,
    pub(super) period_ms: u64,
    pub(super) children: Vec<Child>,
    pub(super) is_of_node: bool,
}

impl Supervisor {
    /// A supervisor without children, which gives up after more than 5 restarts within 10 s. Its name is for logs and
    /// consoles.
    pub fn new(name: &str, strategy: Strategy) -> Supervisor {
        Supervisor {
            name: name.into(),
            strategy,
            restarts_max: 5,
            period_ms: 10_000,
            children: Vec::new(),
            is_of_node: false,
        }
    }

    /// How many restarts within any period are normal, at most [`RESTARTS_MAX`](crate::limits::RESTARTS_MAX), and that
    /// period in whole milliseconds. One more, and the supervisor gives up: it stops its children in reverse order and
    /// ends as failed, which its own supervisor sees.
    #[must_use]
    pub fn intensity(mut self, restarts: usize, period: Duration) -> Supervisor {
        self.restarts_max = restarts.min(RESTARTS_MAX);
        self.period_ms = whole_milliseconds(period).max(1);
        self
    }

    /// Adds a child. Children start in the order in which they are added, and stop in reverse order.
    #[must_use]
    pub fn child(mut self, child: Child) -> Supervisor {
        self.children.push(child);
        self
    }

    /// Makes the node fail when this supervisor gives up: the node logs it, and calls what
    /// [`NodeBuilder::on_failure`](crate::NodeBuilder::on_failure) has set.
    #[must_use]
    pub fn escalates_to_node(mut self) -> Supervisor {
        self.is_of_node = true;
        self
    }
}

impl Caller {
    /// Starts a supervisor and its children, and waits until all have started. The handle is the supervisor's: ending
    /// it ends its children.
    ///
    /// # Errors
    /// That of the first child which does not start, with its name; then those before it have been stopped in reverse
    /// order. [`Error::Invalid`] for a supervisor with too many children.
    pub async fn supervise(&self, supervisor: Supervisor) -> Result<Handle, Error> {
        let shard = &self.shard;
        let handle = shard.node.next_handle();
        let key = shard.insert_waiter(None);
        let started = shard.waiter(key);
        shard.run_on(shard_of_handle(handle, shard.shards()), move |shard| {
            if let Err(error) = supervisor.launch(shard, handle, started) {
                shard.reply(started, Err(error));
            }
        });
        match shard.wait(key).await {
            Outcome::Answer(result) => result.map(|_| handle),
            Outcome::Elapsed => Err(Error::ShuttingDown),
        }
    }
}
