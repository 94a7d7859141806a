//! W3C trace context, for services that speak HTTP with others.

use smol_str::format_smolstr;

use crate::core::trace_tag::TraceTag;
use crate::service::caller::Caller;

impl Caller {
    /// The value of the W3C header `traceparent` for a request that the running code makes over HTTP; `None` if the code
    /// belongs to no trace.
    pub fn traceparent(&self) -> Option<String> {
        let tag = self.shard.tag_of(self.shard.tracing.current());
        tag.map(TraceTag::to_text)
    }

    /// Runs code that handles a request over HTTP, as part of the request's trace: `header` is the value of its W3C header
    /// `traceparent`. `method` names the request in its span, which ends with `work`; 64 bytes of it are kept. Messages that
    /// `work` sends and tasks that it spawns belong to it. A header that is invalid, or says that the request is not sampled,
    /// has no effect.
    pub fn within_trace<T>(&self, header: &str, method: &str, work: impl FnOnce() -> T) -> T {
        let Some(tag) = TraceTag::from_header(header) else {
            return work();
        };
        let service = format_smolstr!("{}", self.handle);
        let span = self.shard.node.begin_http_request(tag, service, method);
        let entered = self.shard.tracing.enter(span);
        let result = work();
        drop(entered);
        self.shard.end_span(span, None);
        result
    }
}
