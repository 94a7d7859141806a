//! Many nodes as processes on this machine, each connected to all others: what one costs, and how soon all know of a
//! start, of a killed node, and of a network that parts and heals.
//!
//! - [`NodesPlan`] says how many and how long; [`measure_nodes`] runs the phases one after the other.
//! - [`serve_member`] is one of the nodes: it watches all others and writes what it sees to its standard output.
//!
//! Invariants: every wait has a bound; no process, file or network namespace is left when the measurement returns.

mod bound;
mod etcd;
mod member;
mod mesh;
mod network;
mod plan;
mod result;
mod run;

pub use self::member::{MemberError, serve_member};
pub use self::plan::{NODES_MAX, NodesError, NodesPlan};
pub use self::result::{Growth, Killed, NodesResult, Parted, Retries, Spread};
pub use self::run::measure_nodes;
