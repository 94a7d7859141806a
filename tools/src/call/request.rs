//! One call or send to a service, from a temporary node with one shard.

use std::time::Duration;

use skyring::{Address, Error, Handle, Payload};

use crate::shared::cluster_map::Reach;
use crate::shared::temporary_node;

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
    let node = temporary_node::start(request.reach)?;
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
    let answer = temporary_node::answer(&node, &request.node, &answer?);
    node.stop();
    answer
}
