//! A local service that forwards to a service of another node; the answer goes directly back to the caller.

use std::sync::Arc;

use crate::core::handle::Address;
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::error::Text;
use crate::service::Service;
use crate::service::context::Context;
use crate::service::message::{Answer, Message};

/// Forwards every message to one service of another node.
pub(crate) struct Proxy {
    pub(crate) node: Text,
    pub(crate) address: Address,
}

impl Service for Proxy {
    const STOPS_AT_ONCE: bool = true;

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let reply_to = if message.is_call() {
            context.responder().into_reply_to()
        } else {
            ReplyTo::Nobody
        };
        let shard = &context.shard;
        let timeout_ms = shard.node.settings.call_timeout_ms;
        shard.request_remote(RemoteRequest {
            node: Arc::clone(&self.node),
            address: self.address.clone(),
            source: message.source,
            key: u64::from(message.source.0),
            channel: 0,
            payload: message.payload,
            reply_to,
            deadline: (timeout_ms > 0).then(|| shard.now() + timeout_ms),
            timeout_ms,
            is_idempotent: false,
            waits: false,
            span: shard.tracing.current(),
            when_down: None,
        });
        Answer::none()
    }
}
