//! The test kit: services as in production, in one thread and in virtual time.
//!
//! For tests only: name the crate in `[dev-dependencies]` with the feature `testing`.
//!
//! - [`TestNode`]: one node, for a unit test of a service. Send it messages, see what it sends and answers, let an hour pass
//!   at once.
//! - [`Simulation`]: several nodes with their shards, links, failure detectors, groups and supervisors, and a network
//!   between them that the test breaks.
//! - [`Scenario`]: a simulation, operations on it and what must hold, run with many seeds. Each seed draws its own faults,
//!   delays and interleavings. A failure is replayed by its seed and shortened.
//!
//! ```
//! use std::time::Duration;
//! use skyring::testing::TestNode;
//! use skyring::{Answer, Context, Message, Service};
//!
//! /// Reminds somebody.
//! struct Reminder;
//!
//! impl Service for Reminder {
//!     fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
//!         let (after_s, text) = message.unpack::<(u64, String)>().unwrap();
//!         let sender = context.clone();
//!         context.spawn(async move {
//!             sender.sleep(Duration::from_secs(after_s)).await;
//!             sender.send(".mailbox", &text).unwrap();
//!         });
//!         Answer::now(&true)
//!     }
//! }
//!
//! let node = TestNode::new();
//! let mailbox = node.probe(".mailbox")?;
//! let reminder = node.launch(|_| Reminder)?;
//! assert!(node.call(reminder, &(3600, "drink"))?.unpack::<bool>()?);
//! node.advance(Duration::from_secs(3599));
//! assert!(mailbox.next().is_none());
//! node.advance(Duration::from_secs(2));
//! let message = mailbox.next().unwrap();
//! assert_eq!(message.unpack::<&str>()?, "drink");
//! # Ok::<(), skyring::Error>(())
//! ```
//!
//! What runs is the production code of the shards, from the services down to the links, on a runtime whose time, chance and
//! sockets are the kit's. What that leaves out is the list of the chapter "Testing services" of the book: real threads, the
//! kernel, `std::time` and other things that a service reaches without Skyring.
//!
//! Invariant: a run depends on its seed, and on nothing else that the kit or the engine decides.

mod events;
mod failure;
mod fault;
mod network;
mod node;
mod probe;
mod random;
mod run;
mod scenario;
mod simulation;
mod test_node;
mod trace;
mod world;

pub use failure::Failure;
pub use fault::{FaultKind, Faults};
pub use probe::{Probe, Received};
pub use random::Random;
pub use run::{Operation, Run};
pub use scenario::{Explored, Scenario};
pub use simulation::{NodeSetup, Simulation};
pub use test_node::TestNode;
pub use trace::TraceEntry;
