//! W3C trace context, for services that speak HTTP with others.

use std::rc::Rc;

use smol_str::format_smolstr;

use crate::core::ShardCore;
use crate::core::spans::SpanKey;
use crate::core::trace_tag::TraceTag;
use crate::service::caller::Caller;

/// The span of a request over HTTP that a service handles. It ends when it is dropped.
pub struct HttpSpan {
    shard: Rc<ShardCore>,
    span: SpanKey,
    /// What the code belonged to that began it.
    outer: SpanKey,
    error: Option<&'static str>,
}

impl HttpSpan {
    /// Runs code as a part of the request: messages that it sends and tasks that it spawns belong to the span.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.shard.tracing.enter(self.span);
        work()
    }

    /// Runs code as before the span began.
    pub fn leave<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.shard.tracing.enter(self.outer);
        work()
    }

    /// Marks the request as failed.
    pub fn fail(&mut self) {
        self.error = Some("remote");
    }
}

impl Drop for HttpSpan {
    fn drop(&mut self) {
        self.shard.end_span(self.span, self.error);
    }
}

impl Caller {
    /// The value of the W3C header `traceparent` for a request that the running code makes over HTTP; `None` if the code
    /// belongs to no trace.
    pub fn traceparent(&self) -> Option<String> {
        let tag = self.shard.tag_of(self.shard.tracing.current());
        tag.map(TraceTag::to_text)
    }

    /// Begins the span of a request over HTTP that this service handles: `header` is the value of the request's W3C header
    /// `traceparent`, and `method` names the request; 64 bytes of it are kept. `None` if the header is invalid, or says that the
    /// request is not sampled.
    pub fn begin_http_span(&self, header: &str, method: &str) -> Option<HttpSpan> {
        let tag = TraceTag::from_header(header)?;
        let service = format_smolstr!("{}", self.handle);
        Some(HttpSpan {
            shard: Rc::clone(&self.shard),
            span: self.shard.node.begin_http_request(tag, service, method),
            outer: self.shard.tracing.current(),
            error: None,
        })
    }

    /// Runs code that handles a request over HTTP within a span of its own, as [`begin_http_span`](Self::begin_http_span) and
    /// [`HttpSpan::enter`]; without a valid header, just runs it.
    pub fn within_trace<T>(&self, header: &str, method: &str, work: impl FnOnce() -> T) -> T {
        match self.begin_http_span(header, method) {
            Some(span) => span.enter(work),
            None => work(),
        }
    }
}
