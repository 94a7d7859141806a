//! One call or send to a service, from a temporary node with one shard.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, Error, Handle, Node, Payload};

use crate::shared::cluster_map::Reach;

/// Time between two checks for a failed connect.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Discards the log of the calling node: the error has the same cause.
const LOG_SINK: &str = "/dev/null";

/// A call or a send.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) reach: Reach,
    pub(super) node: String,
    pub(super) address: Address,
    pub(super) payload: Payload,
    pub(super) timeout: Duration,
    pub(super) is_send: bool,
}

/// Starts a node, makes the request from it, and stops it.
pub(super) fn call(request: Request) -> Result<Payload, Error> {
    let builder = request
        .reach
        .prepare(Node::builder())
        // Only the timeout of the request limits the call.
        .down_after(Duration::ZERO)
        .log_to(Destination::File(LOG_SINK.into()));
    let node = builder.start().map_err(|error| Error::System {
        what: error.to_string().into(),
    })?;
    let (name, address, payload) = (request.node.clone(), request.address, request.payload);
    let (timeout, is_send) = (request.timeout, request.is_send);
    let answer = node.run(move |caller| async move {
        let peer = caller.node(name);
        if !is_send {
            return peer.call_payload(address, Ok(payload)).timeout(timeout).await;
        }
        peer.send_payload(address, payload);
        // Messages of one caller arrive in order: once this call is answered the send has arrived.
        match peer.call(Handle::NONE, &"").timeout(timeout).await {
            Err(Error::NoSuchService { .. }) => Ok(Payload::default()),
            answer => answer.map(|_| Payload::default()),
        }
    });
    let answer = answer?;
    let answer = loop {
        match answer.recv_timeout(POLL_INTERVAL) {
            Ok(answer) => break answer,
            Err(RecvTimeoutError::Disconnected) => break Err(Error::ShuttingDown),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(error) = unreachable_error(&node, &request.node) {
                    break Err(error);
                }
            }
        }
    };
    node.stop();
    answer
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
