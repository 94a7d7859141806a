//! Requests that belong to the trace of whoever asks.

use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use smol_str::SmolStr;

use crate::core::node::NodeShared;
use crate::core::spans::SpanKey;
use crate::core::trace_tag::TraceTag;

/// The header of W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// The service in the spans of requests.
const SERVICE: SmolStr = SmolStr::new_static("admin");

/// Begins the span of a request, if its header says that it is traced.
pub(super) fn begin(node: &NodeShared, request: &Request<Incoming>) -> SpanKey {
    match tag_of(request.headers()) {
        Some(tag) => {
            let method = format!("{} {}", request.method(), request.uri().path());
            node.begin_http_request(tag, SERVICE, &method)
        }
        None => SpanKey::NONE,
    }
}

/// Ends it with what was answered.
pub(super) fn end(node: &NodeShared, span: SpanKey, status: StatusCode) {
    if span.is_some() {
        let error = status.is_server_error().then_some("http-error");
        node.end_span(span, error, None);
    }
}

/// The trace of a request. A header that stands there twice is invalid.
fn tag_of(headers: &HeaderMap) -> Option<TraceTag> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (only, None) = (values.next()?, values.next()) else {
        return None;
    };
    TraceTag::from_header(only.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn one_valid_header_counts_and_any_other_number_does_not() {
        const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACEPARENT, HeaderValue::from_static(value));
            }
            tag_of(&headers).is_some()
        };
        assert!(of(&[ONE]));
        for values in [&[][..], &[""], &["00"], &[ONE, ONE], &["", ONE], &[ONE, "00"]] {
            assert!(!of(values), "{values:?}");
        }
    }
}
