//! A collector of OpenTelemetry: a server that keeps the requests that it gets, and answers as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// One answer.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: &'static str,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &'static str) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", "application/json")],
            body,
            after: Duration::ZERO,
        }
    }
}

/// A request: when it came, its path, and its body.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    received: Vec<Received>,
    connections: usize,
}

/// The running server. Dropping it ends it.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    _end: oneshot::Sender<()>,
}

impl Collector {
    /// A collector that gives these answers in turn, and then takes everything.
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            replies: replies.into_iter().collect(),
            ..State::default()
        }));
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            LocalSet::new().block_on(&runtime, async move {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = ended => {}
                }
            });
        });
        Collector {
            address,
            state,
            _end: end,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic").received.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().expect("no panic").connections
    }

    /// All spans that it has taken or refused, each with the name of its node.
    pub(crate) fn spans(&self) -> Vec<(String, Value)> {
        let mut spans = Vec::new();
        for received in self.received() {
            for of_node in received.body["resourceSpans"].as_array().expect("a list") {
                let node = attribute(&of_node["resource"], "service.name");
                for scope in of_node["scopeSpans"].as_array().expect("a list") {
                    assert_eq!(scope["scope"]["name"], "skyring");
                    let all = scope["spans"].as_array().expect("a list");
                    spans.extend(all.iter().map(|span| (node.clone(), span.clone())));
                }
            }
        }
        spans
    }
}

/// The value of an attribute, empty if it is not there.
pub(crate) fn attribute(owner: &Value, key: &str) -> String {
    let attributes = owner["attributes"].as_array().expect("a list");
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    let Some(found) = found else { return String::new() };
    let value = found["value"].as_object().expect("a value");
    let (kind, value) = value.iter().next().expect("a value");
    assert!(["stringValue", "intValue"].contains(&kind.as_str()), "{kind}");
    value.as_str().expect("a text").to_owned()
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        state.lock().expect("no panic").connections += 1;
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/json");
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body = serde_json::from_slice(&body).expect("a document of JSON");
    let reply = {
        let mut state = state.lock().expect("no panic");
        let at = Instant::now();
        state.received.push(Received { at, path, body });
        state.replies.pop_front().unwrap_or_else(|| Reply::new(200, "{}"))
    };
    tokio::time::sleep(reply.after).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response
        .body(Full::new(Bytes::from_static(reply.body.as_bytes())))
        .expect("an answer"))
}
