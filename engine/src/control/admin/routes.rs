//! What the admin server answers.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::collect::{Fresh, Shards, reports};
use super::metrics::{self, KnownChannels};
use super::server::Deadline;
use super::status::Assembly;
use super::{AdminParts, access, dashboard, probe, trace};
use crate::core::spans::SpanKey;
use crate::status::NodeStatus;

/// The longest profile, in seconds.
const ADMIN_PROFILE_SECONDS_MAX: u64 = 60;

/// The profile of a request that does not say how long.
const PROFILE_SECONDS_DEFAULT: u64 = 10;

/// What a profile may take beside its own time: reading the debug information of a large program.
const PROFILE_EXTRA_TIME: Duration = Duration::from_secs(30);

const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A flame graph has a script, which may not reach this server.
const SVG_POLICY: &str = include_str!("graph_policy.txt").trim_ascii_end();

type Answer = Response<Full<Bytes>>;

/// The state of the server.
pub(super) struct Routes {
    shards: Shards,
    parts: AdminParts,
    assembly: Assembly,
    known_channels: RefCell<KnownChannels>,
    status: Fresh<NodeStatus>,
    health: Fresh<Result<(), String>>,
    /// One profile at a time.
    profiling: Mutex<()>,
}

impl Routes {
    pub(super) fn new(parts: AdminParts) -> Routes {
        Routes {
            shards: Shards::new(Arc::clone(&parts.node)),
            parts,
            assembly: Assembly::default(),
            known_channels: RefCell::default(),
            status: Fresh::default(),
            health: Fresh::default(),
            profiling: Mutex::new(()),
        }
    }

    async fn status(&self) -> std::rc::Rc<NodeStatus> {
        let find = || async {
            let reports = reports(&self.shards, self.parts.report).await;
            self.assembly.status(&self.parts, reports)
        };
        self.status.get(find).await
    }

    async fn health(&self) -> Answer {
        let health = self
            .health
            .get(|| probe::health(&self.parts.node, &self.shards))
            .await;
        match &*health {
            Ok(()) => answer(StatusCode::OK, TEXT, "ok\n"),
            Err(cause) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{cause}\n")),
        }
    }

    fn readiness(&self) -> Answer {
        match probe::readiness(&self.parts.node) {
            Ok(()) => answer(StatusCode::OK, TEXT, "ready\n"),
            Err(cause) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{cause}\n")),
        }
    }

    async fn status_document(&self) -> Answer {
        match serde_json::to_vec(&*self.status().await) {
            Ok(document) => answer(StatusCode::OK, JSON, document),
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        }
    }

    async fn metrics(&self) -> Answer {
        let status = self.status().await;
        let counters = &self.parts.node.metrics;
        let text = metrics::text_of(&status, counters, &mut self.known_channels.borrow_mut());
        answer(StatusCode::OK, METRICS, text)
    }

    async fn profile(&self, query: Option<&str>, deadline: &Deadline) -> Answer {
        let Some(profiler) = self.parts.profiler.clone() else {
            let text = "this program has no profiler: it was not started by the skyring command\n";
            return answer(StatusCode::NOT_IMPLEMENTED, TEXT, text);
        };
        let seconds = match seconds(query) {
            Ok(seconds) => seconds,
            Err(cause) => return answer(StatusCode::BAD_REQUEST, TEXT, format!("{cause}\n")),
        };
        let Ok(_alone) = self.profiling.try_lock() else {
            return answer(StatusCode::CONFLICT, TEXT, "a profile is being taken already\n");
        };
        let time = Duration::from_secs(seconds);
        deadline.extend(time + PROFILE_EXTRA_TIME);
        let graph = spawn_blocking(move || profiler(time)).await;
        match graph.unwrap_or_else(|error| Err(format!("the profiler failed: {error}"))) {
            Ok(graph) => with_policy(answer(StatusCode::OK, SVG, graph), SVG_POLICY),
            Err(cause) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{cause}\n")),
        }
    }
}

/// Answers a request. Its body, if it has one, is not read.
pub(super) async fn respond(routes: &Routes, request: &Request<Incoming>, deadline: &Deadline) -> Answer {
    let token = routes.parts.admin.token();
    if let Some(cause) = access::refused_page(request.headers(), token.is_some()) {
        return answer(StatusCode::FORBIDDEN, TEXT, format!("{cause}\n"));
    }
    let path = request.uri().path();
    let allowed: &[Method] = match path {
        "/" | "/healthz" | "/readyz" | "/metrics" | "/api/status" => &[Method::GET, Method::HEAD],
        "/api/profile" => &[Method::GET, Method::POST],
        _ => {
            return answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there is no such page; / lists them\n",
            );
        }
    };
    if !allowed.contains(request.method()) {
        let mut refused = answer(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "this page takes no such request\n",
        );
        let methods = if path == "/api/profile" {
            "GET, POST"
        } else {
            "GET, HEAD"
        };
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(methods));
        return refused;
    }
    // Who starts and restarts nodes has no token, and the page itself tells nothing.
    let is_open = matches!(path, "/" | "/healthz" | "/readyz");
    if let (Some(token), false) = (token, is_open)
        && !access::has_token(request.headers(), token)
    {
        let mut refused = answer(
            StatusCode::UNAUTHORIZED,
            TEXT,
            "this needs the header: Authorization: Bearer TOKEN\n",
        );
        let scheme = HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        return refused;
    }
    // Who has no token has the node keep nothing.
    let span = match token.is_none_or(|token| access::has_token(request.headers(), token)) {
        true => trace::begin(&routes.parts.node, request),
        false => SpanKey::NONE,
    };
    let answer = page(routes, request, deadline).await;
    trace::end(&routes.parts.node, span, answer.status());
    answer
}

/// The page that a request may have.
async fn page(routes: &Routes, request: &Request<Incoming>, deadline: &Deadline) -> Answer {
    match request.uri().path() {
        "/healthz" => routes.health().await,
        "/readyz" => routes.readiness(),
        "/metrics" => routes.metrics().await,
        "/api/status" => routes.status_document().await,
        "/api/profile" => routes.profile(request.uri().query(), deadline).await,
        _ => with_policy(
            answer(StatusCode::OK, HTML, dashboard::PAGE.as_str()),
            &dashboard::POLICY,
        ),
    }
}

/// The time of a profile that a query asks for.
fn seconds(query: Option<&str>) -> Result<u64, String> {
    let mut seconds = PROFILE_SECONDS_DEFAULT;
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let value = pair.strip_prefix("seconds=").and_then(|value| value.parse().ok());
        seconds = value
            .filter(|value| (1..=ADMIN_PROFILE_SECONDS_MAX).contains(value))
            .ok_or_else(|| format!("expected seconds=N, from 1 to {ADMIN_PROFILE_SECONDS_MAX}"))?;
    }
    Ok(seconds)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    answer
}

fn with_policy(mut answer: Answer, policy: &'static str) -> Answer {
    let policy = HeaderValue::from_static(policy);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_long_or_is_refused() {
        assert_eq!(seconds(None), Ok(PROFILE_SECONDS_DEFAULT));
        assert_eq!(seconds(Some("")), Ok(PROFILE_SECONDS_DEFAULT));
        assert_eq!(seconds(Some("seconds=3")), Ok(3));
        for wrong in [
            "seconds=0",
            "seconds=61",
            "seconds=x",
            "seconds",
            "time=3",
            "seconds=-1",
        ] {
            assert!(seconds(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
