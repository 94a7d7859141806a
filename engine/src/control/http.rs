//! HTTP to a server: one connection, for one request at a time.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// A connection. Dropping it closes it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// A connection over a stream.
    pub(super) async fn over<S>(stream: S) -> Result<Connection, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cause_of(&error))?;
        let driver = tokio::task::spawn_local(async move {
            // What ends a connection is seen by the request on it.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver })
    }

    /// Makes a request; the error is a text.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        self.sender.ready().await.map_err(|error| cause_of(&error))?;
        let response = self.sender.send_request(request).await;
        response.map_err(|error| cause_of(&error))
    }
}

/// The innermost cause of an error, which says most.
pub(super) fn cause_of(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
