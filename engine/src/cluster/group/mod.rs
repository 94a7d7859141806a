//! Groups: several nodes behind one name. A message for the name goes to one of them, as the group's policy
//! says, and a call that certainly did not run there goes to the next.
//!
//! Every shard has its own view of the groups, made anew when the map changes, with what it knows of each
//! member. A message to a group takes one look-up more than one to a node; messages to nodes pay nothing.
//!
//! With a policy that is steady, callers stay with their member while its connection is only cut: for
//! [`SWITCH_PAUSE_MS`] after a loss its messages wait here, in order, until it is back or others take over.
//!
//! Invariants: what waits here is bounded; no `RefCell` is borrowed while a message goes on its way, which may
//! come back at once as an answer.

mod call;
mod calls;
mod choice;
mod dispatch;
mod health;
mod nearest;
pub(in crate::cluster) mod table;

pub(in crate::cluster) use table::Groups;
pub use table::{GROUP_CALLS_MAX, GROUP_WAITING_MAX};
