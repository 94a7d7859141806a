//! Spans as a request of OTLP: `ExportTraceServiceRequest` in the JSON encoding of Protobuf, with the differences that OTLP has
//! from it: traces and spans are hexadecimal, kinds and status codes are numbers.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use crate::core::finished_spans::FinishedSpan;
use crate::core::handle::{Address, Handle};
use crate::core::names::Names;
use crate::core::node::NodeShared;
use crate::core::spans::{Span, SpanEnd};
use crate::core::versioned::Reader;
use crate::error::Text;

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;

/// `SPAN_KIND_CLIENT`.
const CLIENT: u8 = 3;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The name of a node that has none in the cluster map.
const UNNAMED: &str = "skyring";

/// Writes requests.
pub(super) struct Documents {
    find_name: Box<dyn Fn() -> String + Send>,
    /// What says which node the spans are from, beside its name.
    attributes: [Value; 3],
    names: Reader<Names>,
    /// The version of the names of which `first_names` is.
    version: u64,
    first_names: FxHashMap<Handle, Text>,
}

impl Documents {
    pub(super) fn new(node: &NodeShared, find_name: Box<dyn Fn() -> String + Send>) -> Documents {
        let attributes = [
            text("service.instance.id", &format!("{:016x}", node.epoch)),
            text("service.version", env!("CARGO_PKG_VERSION")),
            number("process.pid", std::process::id()),
        ];
        Documents {
            find_name,
            attributes,
            names: Reader::new(Arc::clone(&node.names)),
            version: 0,
            first_names: FxHashMap::default(),
        }
    }

    /// A request with these spans.
    pub(super) fn write(&mut self, finished: &[FinishedSpan]) -> String {
        let version = self.names.version();
        if version != self.version {
            self.first_names = self.names.read(|names| names.first_names());
            self.version = version;
        }
        let spans: Vec<Value> = finished.iter().map(|finished| self.span(finished)).collect();
        let name = Some((self.find_name)()).filter(|name| !name.is_empty());
        let mut attributes = self.attributes.to_vec();
        attributes.push(text("service.name", name.as_deref().unwrap_or(UNNAMED)));
        let scope = json!({"name": "skyring", "version": env!("CARGO_PKG_VERSION")});
        json!({"resourceSpans": [{
            "resource": {"attributes": attributes},
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }]})
        .to_string()
    }

    fn span(&self, FinishedSpan { span, shard }: &FinishedSpan) -> Value {
        let service = self.service(span);
        let name = match span.method.is_empty() {
            true => service.to_owned(),
            false => format!("{service}/{}", span.method),
        };
        let mut attributes = vec![text("rpc.system", "skyring"), text("rpc.service", service)];
        if let Some(shard) = shard {
            attributes.push(number("skyring.shard", u32::try_from(*shard).unwrap_or(u32::MAX)));
        }
        if !span.method.is_empty() {
            attributes.push(text("rpc.method", &span.method));
        }
        if !span.node.is_empty() {
            attributes.push(text("server.address", &span.node));
        }
        if span.end == SpanEnd::Callee && span.service.starts_with(':') {
            attributes.push(text("skyring.handle", &span.service));
        }
        let mut status = json!({});
        if let Some(error) = &span.error {
            attributes.push(text("error.type", error));
            status = json!({"code": ERROR, "message": error.as_str()});
        }
        let stages = [("sent", span.sent), ("started", span.started)];
        let events: Vec<Value> = stages
            .iter()
            .filter_map(|(name, after)| {
                let at = time(span.begun + (*after)?);
                Some(json!({"name": name, "timeUnixNano": at}))
            })
            .collect();
        let mut document = json!({
            "traceId": format!("{:032x}", span.trace),
            "spanId": format!("{:016x}", span.id),
            "name": name,
            "kind": match span.end {
                SpanEnd::Caller => CLIENT,
                SpanEnd::Callee => SERVER,
            },
            "startTimeUnixNano": time(span.begun),
            "endTimeUnixNano": time(span.begun + span.finished.unwrap_or_default()),
            "attributes": attributes,
            "events": events,
            "status": status,
        });
        if span.parent != 0 {
            document["parentSpanId"] = format!("{:016x}", span.parent).into();
        }
        document
    }

    /// The service that a span is about: as it was called, or by its first name, since handles differ from run to run.
    fn service<'a>(&'a self, span: &'a Span) -> &'a str {
        let name = match Address::parse(&span.service) {
            Some(Address::Handle(handle)) => self.first_names.get(&handle),
            _ => None,
        };
        name.map_or(&span.service, |name| name)
    }
}

/// Nanoseconds since the Unix epoch; numbers of 64 bits are texts in this encoding.
fn time(since_epoch: Duration) -> String {
    since_epoch.as_nanos().to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number(key: &str, value: u32) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}
