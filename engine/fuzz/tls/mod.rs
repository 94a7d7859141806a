//! The fuzz entries of the shell of TLS.
//!
//! An input is a list of steps between two ends whose bytes pass through somebody: he delivers them in pieces, changes
//! them, repeats them, leaves some out, changes their order, or writes his own. Whatever he does, what comes out at one
//! end is a beginning of what the other end has sealed, nobody is let in who must prove himself and cannot, bounds hold,
//! and nothing panics.
//!
//! - `nodes`: a dialler and an acceptor;
//! - `clients`: a client that is no node, and a server, with or without something that comes before TLS;
//! - `conversation`: the steps;
//! - `end`, `side`: one end, what is on its way to it, and what it speaks with;
//! - `identities`: the certificates;
//! - `cheap`: each execution has a handshake, so most have one that costs little: of 64 inputs one, by its hash, has one
//!   as nodes have.

mod cheap;
pub(crate) mod clients;
mod conversation;
mod end;
mod identities;
pub(crate) mod nodes;
mod side;

/// Makes the certificates, which takes longer than an execution may.
pub(crate) fn prepare() {
    identities::cheap();
    identities::full();
}
