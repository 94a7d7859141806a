//! HTTP to one etcd server: connections, requests with their bounds, and the lines of a watch.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::wire;
use crate::config::{Etcd, EtcdEndpoint, Password};
use crate::control::http::{Connection, cause_of};

/// How long connecting to etcd may take, with TLS and the authentication.
pub(crate) const ETCD_CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// How long etcd may take for an answer.
pub(crate) const ETCD_ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Most bytes of one answer of etcd.
pub(crate) const ETCD_ANSWER_BYTES_MAX: usize = 16 << 20;

/// Most bytes of one line of a watch.
pub(crate) const ETCD_LINE_BYTES_MAX: usize = 4 << 20;

/// A connection to etcd, for one request at a time.
pub(crate) struct Client {
    connection: Connection,
    host: String,
    /// The password and the token, which a server might send back in an error.
    secrets: Vec<Password>,
    token: Option<String>,
}

impl Client {
    /// Connects to a server, and authenticates if there is a user.
    pub(crate) async fn connect(etcd: &Etcd, endpoint: &EtcdEndpoint) -> Result<Client, String> {
        let connecting = async {
            let mut client = Client::open(etcd, endpoint).await?;
            if let Some((user, password)) = &etcd.user {
                client.secrets.push(password.clone());
                let body = wire::authenticate(user, password.text());
                let answer = client.call("/v3/auth/authenticate", body).await?;
                let token = wire::read_authentication(&answer)?;
                client.secrets.push(Password::new(&token));
                client.token = Some(token);
            }
            Ok(client)
        };
        timeout(ETCD_CONNECT_TIME_MAX, connecting)
            .await
            .unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    async fn open(etcd: &Etcd, endpoint: &EtcdEndpoint) -> Result<Client, String> {
        let address = &endpoint.address;
        let stream = TcpStream::connect((address.host(), address.port())).await;
        let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        // Without it a request waits for an acknowledgement; a refusal only costs that time.
        let _ = stream.set_nodelay(true);
        let host = address.to_string();
        if !endpoint.is_tls {
            return Client::start(stream, host).await;
        }
        let name = ServerName::try_from(address.host().to_owned())
            .map_err(|error| format!("a certificate cannot have its name: {error}"))?;
        let connector = TlsConnector::from(Arc::new(tls_config(etcd)?));
        let stream = connector.connect(name, stream).await;
        Client::start(stream.map_err(|error| format!("no TLS: {error}"))?, host).await
    }

    /// Why a server refuses a request, in its own words but for the secrets.
    fn refused(&self, status: hyper::StatusCode, body: &[u8]) -> String {
        let Some(text) = wire::refusal(body) else {
            return format!("it answers with HTTP status {}", status.as_u16());
        };
        let conceal = |text: String, secret: &Password| text.replace(secret.text(), "…");
        format!("it refuses: {}", self.secrets.iter().fold(text, conceal))
    }

    async fn start<S>(stream: S, host: String) -> Result<Client, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        Ok(Client {
            connection: Connection::over(stream).await?,
            host,
            secrets: Vec::new(),
            token: None,
        })
    }

    async fn send(&mut self, path: &str, body: &Value) -> Result<Response<Incoming>, String> {
        let mut request = Request::post(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| error.to_string())?;
        self.connection.send(request).await
    }

    /// Makes a request, and returns the body of the answer.
    pub(crate) async fn call(&mut self, path: &str, body: Value) -> Result<Bytes, String> {
        let answering = async {
            let response = self.send(path, &body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ETCD_ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| format!("its answer cannot be read: {error}"))?
                .to_bytes();
            match status.is_success() {
                true => Ok(body),
                false => Err(self.refused(status, &body)),
            }
        };
        timeout(ETCD_ANSWER_TIME_MAX, answering)
            .await
            .unwrap_or_else(|_| Err(format!("no answer to {path} in time")))
    }

    /// Begins a request that is answered with lines without end.
    pub(crate) async fn stream(mut self, path: &str, body: Value) -> Result<Lines, String> {
        let response = timeout(ETCD_ANSWER_TIME_MAX, self.send(path, &body))
            .await
            .unwrap_or_else(|_| Err(format!("no answer to {path} in time")))?;
        match response.status() {
            status if status.is_success() => Ok(Lines {
                body: response.into_body(),
                buffer: BytesMut::new(),
                searched: 0,
                _client: self,
            }),
            status => {
                let body = Limited::new(response.into_body(), wire::REFUSAL_BYTES_MAX);
                let body = timeout(ETCD_ANSWER_TIME_MAX, body.collect()).await;
                let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes());
                Err(self.refused(status, &body.unwrap_or_default()))
            }
        }
    }
}

/// The lines of an answer without end.
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// Bytes of the buffer in which there is no line break.
    searched: usize,
    _client: Client,
}

impl Lines {
    /// The next line. Nothing is lost when its future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Bytes, String> {
        loop {
            if let Some(at) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(line);
            }
            self.searched = self.buffer.len();
            if self.searched > ETCD_LINE_BYTES_MAX {
                return Err(format!(
                    "a line of its watch has more than {ETCD_LINE_BYTES_MAX} bytes"
                ));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(cause_of(&error)),
                None => return Err("it has ended the watch".to_owned()),
            }
        }
    }
}

/// The settings of TLS. The files are read for each connection, so that new certificates are used.
fn tls_config(etcd: &Etcd) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &etcd.ca {
        for certificate in certificates(ca)? {
            roots
                .add(certificate)
                .map_err(|error| format!("{}: {error}", ca.display()))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &etcd.certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, private)
        .map_err(|error| format!("{}: {error}", certificate.display()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| named(&error))?
        .collect();
    let read = read.map_err(|error| named(&error))?;
    match read.is_empty() {
        true => Err(named(&"no certificate in it")),
        false => Ok(read),
    }
}
