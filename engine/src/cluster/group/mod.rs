//! Groups: several nodes behind one name. A message for the name goes to one of them, by the group's policy, and a
//! call that certainly did not run there goes to another.
//!
//! Every shard has its own table of the groups, rebuilt when the map changes, with the health of each member. A
//! message to a group takes one look-up more than a message to a node; a message to a node costs nothing more.
//!
//! With a steady policy, callers stay with their member when its connection breaks: for [`SWITCH_PAUSE_MS`] its
//! messages wait in the group, in order, until the member is reconnected or others replace it.
//!
//! Invariants: the waiting messages are bounded; no `RefCell` is borrowed while a message is sent, since its answer
//! may come back at once.

mod call;
mod calls;
mod choice;
mod dispatch;
mod health;
mod nearest;
pub(in crate::cluster) mod table;

pub(in crate::cluster) use table::Groups;
pub use table::{GROUP_CALLS_MAX, GROUP_WAITING_MAX};
