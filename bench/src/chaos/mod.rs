//! A TCP proxy that injects faults: it cuts, delays, trickles and stalls what passes through it, so that tests and
//! measurements have the faults of real networks on one machine.
//!
//! One thread with one poll loop serves all connections. A cut drops the bytes that the proxy holds: bytes that one side
//! has written and the other has not received are lost, as when a cable is cut.
//!
//! Invariants: what is forwarded is forwarded unchanged and in order; connections and the bytes they hold are bounded; the
//! thread ends when the proxy's value is dropped.

mod connection;
mod direction;
mod faults;
mod proxy;
mod relay;
mod shared;

pub use self::direction::CHAOS_HELD_BYTES_MAX;
pub use self::faults::Faults;
pub use self::proxy::ChaosProxy;
pub use self::relay::CHAOS_CONNECTIONS_MAX;
pub use self::shared::ChaosCounts;
