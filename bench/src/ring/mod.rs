//! io_uring for the programs of the rig: memory that the kernel receives into, and many connections on one ring. Not the
//! engine's: a floor must share no code with what it is compared to, and a client none with the server that it measures.

pub(crate) mod buffers;
mod direct;
pub(crate) mod outbox;
pub(crate) mod sockets;
