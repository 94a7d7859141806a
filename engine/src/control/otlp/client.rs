//! Requests to the collector, and what its answers mean.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Otlp;
use crate::control::http::Connection;

/// How long the collector may take for an answer, with connecting.
pub(super) const OTLP_ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Most bytes of an answer of the collector.
pub(super) const OTLP_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Most characters of a message of the collector that the log quotes.
const MESSAGE_CHARACTERS_MAX: usize = 200;

/// What the collector has done with a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Spans that it has refused.
    pub(super) rejected: u64,
    /// Why, in its own words.
    pub(super) message: String,
}

/// Why the collector has not taken a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It will not take it.
    Final(String),
    /// It may take it later.
    Later {
        cause: String,
        /// The time that it asks for.
        after: Option<Duration>,
    },
}

fn later(cause: String) -> Failure {
    Failure::Later { cause, after: None }
}

/// A client of the collector, which keeps its connection.
pub(super) struct Client {
    collector: Otlp,
    connection: Option<Connection>,
}

impl Client {
    pub(super) fn new(collector: Otlp) -> Client {
        Client {
            collector,
            connection: None,
        }
    }

    /// Sends a batch.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<Taken, Failure> {
        timeout(OTLP_ANSWER_TIME_MAX, self.attempt(body))
            .await
            .unwrap_or_else(|_| Err(later("it does not answer".to_owned())))
    }

    async fn attempt(&mut self, body: Bytes) -> Result<Taken, Failure> {
        // Put back only when its answer has been read.
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && let Ok(response) = connection.send(self.request(&body)?).await
        {
            return self.answered(kept, response).await;
        }
        // The collector has closed it meanwhile.
        drop(kept);
        let mut connection = self.connect().await.map_err(later)?;
        let response = connection.send(self.request(&body)?).await.map_err(later)?;
        self.answered(Some(connection), response).await
    }

    async fn connect(&self) -> Result<Connection, String> {
        let address = self.collector.address();
        let stream = TcpStream::connect((address.host(), address.port())).await;
        let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        // Without it a request waits for an acknowledgement; a refusal only costs that time.
        let _ = stream.set_nodelay(true);
        Connection::over(stream).await
    }

    fn request(&self, body: &Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        Request::post(self.collector.path())
            .header(HOST, self.collector.address().to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("skyring/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body.clone()))
            .map_err(|error| Failure::Final(error.to_string()))
    }

    async fn answered(
        &mut self,
        connection: Option<Connection>,
        response: Response<Incoming>,
    ) -> Result<Taken, Failure> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, OTLP_ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            let cause = format!("its answer cannot be read: {error}");
            match error.is::<LengthLimitError>() {
                true => Failure::Final(cause),
                false => later(cause),
            }
        })?;
        self.connection = connection;
        outcome(head.status, &head.headers, &body.to_bytes())
    }
}

/// What an answer means.
fn outcome(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Taken, Failure> {
    if status.is_success() {
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        return match kind.starts_with(b"application/x-protobuf") {
            // It answers in the other encoding of OTLP.
            true => Ok(Taken::default()),
            false => taken(body),
        };
    }
    let mut cause = format!("it answers with HTTP status {}", status.as_u16());
    let message = serde_json::from_slice::<Value>(body).ok();
    if let Some(message) = message.as_ref().and_then(|answer| answer["message"].as_str()) {
        cause = format!("{cause}: {}", cut(message));
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Later {
            cause,
            after: retry_after(headers),
        }),
        _ => Err(Failure::Final(cause)),
    }
}

/// The time in `Retry-After`. As a date, which nobody sends here, it counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Reads an `ExportTraceServiceResponse`.
fn taken(body: &[u8]) -> Result<Taken, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Taken::default());
    }
    let answer = serde_json::from_slice::<Value>(body).ok();
    let Some(answer) = answer.filter(Value::is_object) else {
        let cause = "what answers there is no collector: its answer is not of OTLP";
        return Err(Failure::Final(cause.to_owned()));
    };
    let partial = &answer["partialSuccess"];
    let rejected = match &partial["rejectedSpans"] {
        Value::String(number) => number.parse().ok(),
        number => number.as_u64(),
    };
    Ok(Taken {
        rejected: rejected.unwrap_or(0),
        message: cut(partial["errorMessage"].as_str().unwrap_or_default()),
    })
}

/// The beginning of a message of the collector.
fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<Taken, Failure> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        outcome(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn an_answer_of_a_collector_says_how_many_spans_it_has_refused() {
        for all in [
            "",
            " \n",
            "{}",
            "{\"partialSuccess\":{}}",
            "{\"partialSuccess\":null,\"more\":1}",
        ] {
            assert_eq!(of(200, &[], all), Ok(Taken::default()), "{all}");
        }
        let some = Taken {
            rejected: 3,
            message: "too old".to_owned(),
        };
        for number in ["3", "\"3\""] {
            let body =
                format!("{{\"partialSuccess\":{{\"rejectedSpans\":{number},\"errorMessage\":\"too old\"}}}}");
            assert_eq!(of(200, &[], &body).as_ref(), Ok(&some));
        }
        let protobuf = of(
            200,
            &[("content-type", "application/x-protobuf")],
            "\n\u{2}\u{8}\u{1}",
        );
        assert_eq!(protobuf, Ok(Taken::default()));
    }

    #[test]
    fn an_answer_that_is_none_of_a_collector_refuses_the_batch() {
        for body in ["<html></html>", "[]", "1", "\"text\"", "{", "\u{0}"] {
            let refused = of(200, &[("content-type", "text/html")], body);
            assert!(
                matches!(refused, Err(Failure::Final(cause)) if cause.contains("no collector")),
                "{body}"
            );
        }
        for status in [301, 400, 401, 404, 413, 500] {
            let refused = of(status, &[("retry-after", "1")], "{\"message\":\"no\"}");
            let cause = format!("it answers with HTTP status {status}: no");
            assert_eq!(refused, Err(Failure::Final(cause)));
        }
        let long = format!("{{\"message\":\"{}\"}}", "ä".repeat(1_000));
        let Err(Failure::Final(cause)) = of(400, &[], &long) else {
            panic!("refused");
        };
        assert!(cause.chars().count() < 250 && cause.ends_with('…'), "{cause}");
    }

    #[test]
    fn an_overloaded_collector_says_when_to_come_back() {
        for status in [429, 502, 503, 504] {
            for (header, expected) in [
                (Some("7"), Some(7)),
                (Some(" 0 "), Some(0)),
                (Some("Fri, 31 Dec 1999 23:59:59 GMT"), None),
                (Some("-1"), None),
                (Some("99999999999999999999999"), None),
                (None, None),
            ] {
                let headers: Vec<_> = header.map(|value| ("retry-after", value)).into_iter().collect();
                let Err(Failure::Later { after, .. }) = of(status, &headers, "") else {
                    panic!("{status} can be tried again");
                };
                assert_eq!(after, expected.map(Duration::from_secs), "{header:?}");
            }
        }
    }
}
