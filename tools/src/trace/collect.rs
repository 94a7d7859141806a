//! The spans of a trace, from all nodes of a cluster map.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use skyring::{Address, Error, Node, Payload, Span, WantedSpans};

use crate::shared::cluster_map::Reach;
use crate::shared::temporary_node;

/// A call to be made and traced.
pub(super) struct TracedCall {
    pub(super) node: String,
    pub(super) address: Address,
    pub(super) payload: Payload,
    pub(super) timeout: Duration,
}

/// What to collect.
pub(super) enum Wanted {
    /// A call that is made now.
    Call(TracedCall),
    /// A trace.
    Trace(u128),
    /// The slowest spans of a node.
    Slowest { node: String, count: usize },
}

/// Spans with the names of the nodes that have them.
pub(super) struct Collected {
    /// Empty names: of the node that this command has started.
    pub(super) spans: Vec<(String, Span)>,
    /// Nodes that have not answered, and why.
    pub(super) missing: Vec<(String, Error)>,
    /// The error of the call, if one was made and has failed.
    pub(super) error: Option<Error>,
}

/// Starts a node, makes the call if there is one, asks the others for their spans, and stops the node.
pub(super) fn collect(reach: Reach, wanted: Wanted) -> Result<Collected, Error> {
    let nodes = reach
        .map
        .nodes
        .iter()
        .filter(|(_, entry)| entry.address().is_some());
    let nodes: Vec<String> = nodes.map(|(name, _)| name.clone()).collect();
    let node = temporary_node::start(reach)?;
    let collected = match wanted {
        Wanted::Trace(trace) => of_trace(&node, trace, nodes),
        Wanted::Slowest { node: asked, count } => slowest(&node, asked, count),
        Wanted::Call(call) => of_call(&node, call, nodes),
    };
    node.stop();
    collected
}

fn of_call(node: &Node, call: TracedCall, nodes: Vec<String>) -> Result<Collected, Error> {
    let TracedCall {
        node: peer,
        address,
        payload,
        timeout,
    } = call;
    let name = peer.clone();
    let answer = node.run(move |caller| async move {
        let call = caller.node(name).call_payload(address, Ok(payload));
        call.timeout(timeout).traced().await
    })?;
    let error = temporary_node::answer(node, &peer, &answer).err();
    let first = node.block_on(|caller| async move {
        // This node makes no other call.
        let slowest = WantedSpans::Slowest { count: 1 };
        caller.spans(slowest).into_iter().next()
    })?;
    let Some(first) = first else {
        return Err(error.unwrap_or(Error::ShuttingDown));
    };
    let mut collected = of_trace(node, first.trace, nodes)?;
    collected.spans.insert(0, (String::new(), first));
    collected.error = error;
    Ok(collected)
}

fn of_trace(node: &Node, trace: u128, nodes: Vec<String>) -> Result<Collected, Error> {
    let asked = nodes.into_iter().map(|name| {
        let answer = ask(node, &name, WantedSpans::Trace(trace));
        (name, answer)
    });
    let asked: Vec<_> = asked.collect();
    let mut collected = Collected {
        spans: Vec::new(),
        missing: Vec::new(),
        error: None,
    };
    for (name, answer) in asked {
        match answer.and_then(|answer| received(&answer)) {
            Ok(spans) => collected
                .spans
                .extend(spans.into_iter().map(|span| (name.clone(), span))),
            Err(error) => collected.missing.push((name, error)),
        }
    }
    Ok(collected)
}

fn slowest(node: &Node, asked: String, count: usize) -> Result<Collected, Error> {
    let answer = ask(node, &asked, WantedSpans::Slowest { count })?;
    let spans = temporary_node::answer(node, &asked, &answer)?;
    Ok(Collected {
        spans: spans.into_iter().map(|span| (asked.clone(), span)).collect(),
        missing: Vec::new(),
        error: None,
    })
}

/// Asks a node for its spans.
fn ask(node: &Node, name: &str, wanted: WantedSpans) -> Result<Receiver<Result<Vec<Span>, Error>>, Error> {
    let name = name.to_owned();
    node.run(move |caller| async move { caller.node(name).spans(wanted).await })
}

fn received(answer: &Receiver<Result<Vec<Span>, Error>>) -> Result<Vec<Span>, Error> {
    answer.recv().map_err(|_| Error::ShuttingDown)?
}
