//! Services: actors whose state only their own shard accesses.
//!
//! A service is a struct that implements [`Service`]. Its handler gets one message at a time, and answers at once
//! ([`Answer::now`]), later from a future ([`Answer::later`]), or at any time through a [`Responder`]. Through its
//! [`Context`] it calls and sends to others, sleeps, spawns tasks, launches services and exits.
//!
//! Invariants: a service's handler and its tasks run on one thread, one at a time; a caller's messages arrive in
//! order; a call is answered exactly once, with an error if there is no answer.

pub(crate) mod call;
pub(crate) mod caller;
mod cell;
pub(crate) mod context;
mod deliver;
pub(crate) mod end;
pub(crate) mod interval;
mod keyed;
pub(crate) mod kinds;
pub(crate) mod launch;
pub(crate) mod life;
pub(crate) mod list;
pub(crate) mod message;
pub(crate) mod node_ref;
mod posting;
pub(crate) mod report;
pub(crate) mod responder;
pub(crate) mod sleep;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod supervision;
pub(crate) mod supervisor;
mod table;
pub(crate) mod target;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod trace_context;
mod traits;
pub(crate) mod watch;

pub(crate) use deliver::Deliver;
pub(crate) use kinds::Kinds;
pub(crate) use table::ServiceShard;
pub use traits::Service;
