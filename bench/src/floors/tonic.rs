//! tonic: gRPC over HTTP/2. The code that its generator would write for one method is written by hand, so that no
//! `protoc` is needed:
//!
//! ```proto
//! package skyring.floor;
//! message Value { bytes payload = 1; }
//! service Echo { rpc Call(Value) returns (Value); }
//! ```

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::client::value;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::tokio_client::{self, runtime};
use crate::interrupt::Interrupt;

/// Longest message: the longest value, with its header.
const MESSAGE_BYTES_MAX: usize = 17 << 20;

/// Most calls in flight on a connection; with the default some would wait at the client.
const STREAMS_MAX: u32 = 1 << 20;

/// The message of a call and of its reply.
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

/// The service, as its generator would name it, and its only method.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "skyring.floor.Echo";
}

impl UnaryService<Value> for Echo {
    type Response = Value;
    type Future = Ready<Result<Response<Value>, Status>>;

    fn call(&mut self, request: Request<Value>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

/// Answers HTTP requests with the method.
#[derive(Clone)]
struct EchoServer;

impl NamedService for EchoServer {
    const NAME: &'static str = Echo::NAME;
}

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Value, Value>::default())
                .max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    runtime()?.block_on(async {
        let incoming =
            TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true));
        Server::builder()
            .max_concurrent_streams(Some(STREAMS_MAX))
            .add_service(EchoServer)
            .serve_with_incoming(incoming)
            .await
            .map_err(io::Error::other)
    })
}

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    tokio_client::measure(
        Peer::Tonic,
        settings,
        launcher,
        interrupt,
        |address, settings| async move {
            let channel = Endpoint::from_shared(format!("http://{address}"))
                .map_err(io::Error::other)?
                .tcp_nodelay(true)
                .connect()
                .await
                .map_err(io::Error::other)?;
            let value = Value {
                payload: value(&settings).into(),
            };
            Ok(move || {
                let mut grpc =
                    tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
                let value = value.clone();
                async move {
                    if grpc.ready().await.is_err() {
                        return false;
                    }
                    let path = http::uri::PathAndQuery::from_static("/skyring.floor.Echo/Call");
                    let codec = ProstCodec::<Value, Value>::default();
                    let answer = grpc.unary(Request::new(value.clone()), path, codec).await;
                    answer.is_ok_and(|answer| answer.into_inner() == value)
                }
            })
        },
    )
}
