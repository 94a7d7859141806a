//! The export of finished spans to a collector of OpenTelemetry, with OTLP over HTTP, as JSON.
//!
//! Shards put finished spans into a bounded queue, and this task of the control thread takes them out in batches. Invariants:
//! no shard waits for it; a collector that is absent, slow or refuses what it gets costs memory up to the bounds and the spans
//! beyond them, which are counted; a batch is given up after a bounded time; a node that stops flushes within a bounded time.

mod client;
mod document;
mod exporter;

use std::sync::Arc;

use crate::config::Otlp;
use crate::control::Task;
use crate::core::node::NodeShared;

/// What the export needs of its node.
pub(crate) struct ExportParts {
    pub(crate) node: Arc<NodeShared>,
    pub(crate) collector: Otlp,
    /// Finds the node's name, which may be known only after a while; empty if it has none.
    pub(crate) find_name: Box<dyn Fn() -> String + Send>,
}

/// The export as a task of the control thread, which runs until the node has stopped.
pub(crate) fn task(parts: ExportParts) -> Task {
    Task::new("the export of spans", move |outlet, stop| {
        exporter::run(outlet, stop, parts)
    })
}
