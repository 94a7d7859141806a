//! A node with one shard that a command starts to reach a cluster, and its errors.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Error, Handle, Node};

use super::cluster_map::Reach;

/// Time between two checks for a failed connect.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Discards the log of the calling node: the error has the same cause.
const LOG_SINK: &str = "/dev/null";

/// Starts the node.
///
/// # Errors
/// [`Error::System`] when it does not start.
pub(crate) fn start(reach: Reach) -> Result<Node, Error> {
    let builder = reach
        .prepare(Node::builder())
        // Only the timeouts of the requests limit them.
        .down_after(Duration::ZERO)
        .log_to(Destination::File(LOG_SINK.into()));
    builder.start().map_err(|error| Error::System {
        what: error.to_string().into(),
    })
}

/// Waits for the answer of a peer, or for the first failed attempt to connect to it.
pub(crate) fn answer<T>(node: &Node, peer: &str, answer: &Receiver<Result<T, Error>>) -> Result<T, Error> {
    loop {
        match answer.recv_timeout(POLL_INTERVAL) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::ShuttingDown),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(error) = unreachable_error(node, peer) {
                    return Err(error);
                }
            }
        }
    }
}

/// The error of an unreachable peer, if an attempt to connect has failed. The engine retries until the deadline of
/// the call, which is right for a node of a cluster; a command reports the failure at once.
fn unreachable_error(node: &Node, name: &str) -> Option<Error> {
    if node.metrics().connects_failed.get() == 0 {
        return None;
    }
    // A call that times out before it is sent fails with the error of the connection.
    let name = name.to_owned();
    let answer = node.block_on(move |caller| async move {
        let call = caller.node(name).call(Handle::NONE, &"");
        call.timeout(Duration::from_millis(1)).await
    });
    match answer {
        Ok(Err(error @ (Error::Unreachable { .. } | Error::Denied { .. }))) => Some(error),
        _ => None,
    }
}
