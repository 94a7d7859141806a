//! Tracing: the spans of the calls of a shard.
//!
//! A call is traced if the code that makes it belongs to a span, if its caller asks for it, or if it is one of every so
//! many. Its request carries the key of its span, which costs nothing where it is none. The callee's span is entered while
//! its handler runs, and whenever the rest of the handler is polled; messages that are sent meanwhile belong to it.
//!
//! Invariant: a call that is not traced comes here never.

use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};

use crate::core::ShardCore;
use crate::core::finished_spans::FinishedSpan;
use crate::core::handle::{Address, Handle};
use crate::core::node::NodeShared;
use crate::core::payload::Payload;
use crate::core::spans::{NewSpan, Span, SpanEnd, SpanKey};
use crate::core::trace_tag::TraceTag;
use crate::error::Text;
use crate::rt::random_number;

/// The longest name of a method in a span, in bytes.
const METHOD_BYTES_MAX: usize = 64;

impl<R: ?Sized> ShardCore<R> {
    /// Begins the span of a call, if it is traced: because the running code belongs to a span, because its caller asks for it,
    /// or because it is its turn. `node`: the other node, of a call to another one.
    #[cold]
    pub(crate) fn begin_call(
        &self,
        node: Option<&Text>,
        address: &Address,
        payload: &Payload,
        is_asked_for: bool,
    ) -> SpanKey {
        let parent = self.tracing.current();
        if !parent.is_some() && !is_asked_for && !self.tracing.is_chosen() {
            return SpanKey::NONE;
        }
        let tag = self.tag_of(parent).unwrap_or_else(|| TraceTag {
            trace: u128::from(random_number()) << 64 | u128::from(random_number().max(1)),
            parent: 0,
        });
        self.begin_caller((tag, parent), node, address, payload)
    }

    /// Begins the span of a call that belongs to the trace of another system.
    #[cold]
    pub(crate) fn begin_call_under(
        &self,
        tag: TraceTag,
        node: Option<&Text>,
        address: &Address,
        payload: &Payload,
    ) -> SpanKey {
        self.begin_caller((tag, SpanKey::NONE), node, address, payload)
    }

    fn begin_caller(
        &self,
        (tag, parent): (TraceTag, SpanKey),
        node: Option<&Text>,
        address: &Address,
        payload: &Payload,
    ) -> SpanKey {
        self.node.metrics.calls_traced.add(1);
        self.node.spans.begin(NewSpan {
            tag,
            parent,
            id: random_number().max(1),
            end: SpanEnd::Caller,
            node: node.cloned().unwrap_or_else(|| Text::from("")),
            service: format_smolstr!("{address}"),
            method: method_of(payload),
            age: Duration::ZERO,
        })
    }

    /// Begins the callee's span of a request of another node with a trace tag.
    #[cold]
    pub(crate) fn begin_arrival(&self, tag: &[u8], target: Handle, payload: &Payload) -> SpanKey {
        match TraceTag::from_text(tag) {
            Some(tag) => self.begin_callee(tag, SpanKey::NONE, target, method_of(payload), Duration::ZERO),
            None => SpanKey::NONE,
        }
    }

    /// A service begins to handle a request with this span, which is the callee's if it came from another node, else the
    /// caller's. Returns the callee's.
    #[cold]
    pub(crate) fn begin_handling(&self, span: SpanKey, target: Handle, payload: &Payload) -> SpanKey {
        let started = self.node.spans.with(span, |span, elapsed, _| match span.end {
            SpanEnd::Callee if span.started.is_none() => {
                span.started = Some(elapsed);
                None
            }
            // A message that a handler sends or passes on belongs to the handler's span; a call has one of its own.
            _ => {
                let tag = TraceTag {
                    trace: span.trace,
                    parent: span.id,
                };
                let age = match span.end {
                    SpanEnd::Caller => elapsed,
                    SpanEnd::Callee => Duration::ZERO,
                };
                Some((tag, age))
            }
        });
        match started {
            None => SpanKey::NONE,
            Some(None) => span,
            Some(Some((tag, age))) => {
                let key = self.begin_callee(tag, span, target, method_of(payload), age);
                let _ = self
                    .node
                    .spans
                    .with(key, |span, elapsed, _| span.started = Some(elapsed));
                key
            }
        }
    }

    fn begin_callee(
        &self,
        tag: TraceTag,
        parent: SpanKey,
        target: Handle,
        method: SmolStr,
        age: Duration,
    ) -> SpanKey {
        self.node.spans.begin(NewSpan {
            tag,
            parent,
            id: random_number().max(1),
            end: SpanEnd::Callee,
            node: Text::from(""),
            service: format_smolstr!("{target}"),
            method,
            age,
        })
    }

    /// The tag of requests that belong to a span.
    pub(crate) fn tag_of(&self, span: SpanKey) -> Option<TraceTag> {
        self.node.spans.with(span, |span, _, _| TraceTag {
            trace: span.trace,
            parent: span.id,
        })
    }

    /// The request of a span is in the out-buffer of its channel.
    #[cold]
    pub(crate) fn note_sent(&self, span: SpanKey) {
        let _ = self.node.spans.with(span, |span, elapsed, _| {
            if span.end == SpanEnd::Caller {
                span.sent.get_or_insert(elapsed);
            }
        });
    }

    /// Ends a span with the code of the error of its call, if it has failed, has it exported where that is set, and logs it if it
    /// was slow.
    #[cold]
    pub(crate) fn end_span(&self, span: SpanKey, error: Option<&'static str>) {
        self.node.end_span(span, error, Some(self.index));
    }

    /// The answer to a post has come: ends its span, and returns the one that the sender's code belongs to.
    #[cold]
    pub(crate) fn end_posted(&self, sender: Handle, session: u32, error: Option<&'static str>) -> SpanKey {
        let Some((call, resumed)) = self.tracing.take_posted(sender, session) else {
            return SpanKey::NONE;
        };
        self.end_span(call, error);
        resumed
    }
}

impl NodeShared {
    /// Begins the span of a request that came over HTTP and belongs to the trace of another system. `service` handles it.
    pub(crate) fn begin_http_request(&self, tag: TraceTag, service: SmolStr, method: &str) -> SpanKey {
        let key = self.spans.begin(NewSpan {
            tag,
            parent: SpanKey::NONE,
            id: random_number().max(1),
            end: SpanEnd::Callee,
            node: Text::from(""),
            service,
            method: cut_method(method),
            age: Duration::ZERO,
        });
        let _ = self
            .spans
            .with(key, |span, elapsed, _| span.started = Some(elapsed));
        key
    }

    /// Ends a span; see [`ShardCore::end_span`]. `shard`: where its code ran, if it was a shard.
    pub(crate) fn end_span(&self, span: SpanKey, error: Option<&'static str>, shard: Option<usize>) {
        let limit_ms = self.settings.slow_call_ms;
        let exported = self.finished_spans.as_ref();
        let ended = self.spans.with(span, |span, elapsed, _| {
            if span.finished.is_some() {
                return None;
            }
            span.finished = Some(elapsed);
            span.error = error.map(SmolStr::new_static);
            let is_slow = limit_ms > 0 && elapsed >= Duration::from_millis(limit_ms);
            (is_slow || exported.is_some()).then(|| (span.clone(), is_slow))
        });
        let Some(Some((span, is_slow))) = ended else {
            return;
        };
        if is_slow {
            self.metrics.calls_slow.add(1);
            if self.slow_calls.permits() {
                self.logger.log(Handle::NONE.0, slow_line(&span));
            }
        }
        if let Some(exported) = exported
            && !exported.push(FinishedSpan { span, shard })
        {
            self.metrics.spans_dropped.add(1);
        }
    }
}

/// The method that a message is for.
fn method_of(payload: &Payload) -> SmolStr {
    cut_method(payload.first_text().unwrap_or_default())
}

fn cut_method(text: &str) -> SmolStr {
    let end = text.floor_char_boundary(METHOD_BYTES_MAX.min(text.len()));
    SmolStr::from(text.get(..end).unwrap_or_default())
}

/// The log line about a slow call.
fn slow_line(span: &Span) -> String {
    let Span {
        trace,
        service,
        method,
        ..
    } = span;
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let total = ms(span.finished.unwrap_or_default());
    let target = match (span.node.is_empty(), method.is_empty()) {
        (true, true) => service.to_string(),
        (true, false) => format!("{service} {method:?}"),
        (false, true) => format!("{} {service}", span.node),
        (false, false) => format!("{} {service} {method:?}", span.node),
    };
    let error = span
        .error
        .as_ref()
        .map(|code| format!(", {code}"))
        .unwrap_or_default();
    match span.end {
        SpanEnd::Caller => {
            let sent = match span.sent {
                Some(sent) => format!(", sent after {}", ms(sent)),
                None if span.node.is_empty() => String::new(),
                None => ", not sent".to_owned(),
            };
            format!("slow call: {target} took {total}{sent}{error}; trace {trace:032x}")
        }
        SpanEnd::Callee => {
            let waited = span.started.map(ms).unwrap_or_default();
            format!("slow request: {target} took {total}, started after {waited}{error}; trace {trace:032x}")
        }
    }
}
