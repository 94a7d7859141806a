//! The kinds of message that Skynet's C interface reserves, which it calls `PTYPE_*`.

/// A reply with values.
pub(crate) const RESPONSE: u8 = 1;
/// A message of a client, and the report that a service has ended.
pub(crate) const CLIENT: u8 = 3;
/// A request to a harbor.
pub(crate) const HARBOR: u8 = 5;
/// An event of a socket.
pub(crate) const SOCKET: u8 = 6;
/// A reply with an error, and the report that a service has ended.
pub(crate) const ERROR: u8 = 7;
