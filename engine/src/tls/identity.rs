//! What a node proves, and how it verifies others: settings of rustls, made from files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientSessionMemoryCache, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::fault::TlsFault;
use super::files::{self, TlsError, TlsFiles};

/// The protocol within TLS, which both ends must name: a server of another protocol with a certificate of the same CA
/// is not mistaken for a node.
pub(super) const PROTOCOL: &[u8] = b"skyring/1";

/// Peers for which a node keeps tickets to resume with.
const TICKET_PEERS_MAX: usize = 1_024;

/// Names that a certificate may have; further ones are not looked at.
pub(super) const CERTIFICATE_NAMES_MAX: usize = 64;

/// The certificate of a node, and what those of others must prove.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    /// The names that the certificate is for.
    pub(crate) names: Vec<String>,
}

/// The ciphers of ring, that with the lowest cost first: with instructions for AES that is AES-128.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = match has_aes() {
        true => vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        false => vec![
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
    };
    Arc::new(provider)
}

/// Whether the processor has instructions for AES; where that cannot be asked it is taken for granted.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

impl Identity {
    /// Reads the files of a certificate, and checks that they belong together.
    pub(super) fn load(files: &TlsFiles, provider: Arc<CryptoProvider>) -> Result<Identity, TlsError> {
        let of_certificate = |text: String| TlsError::new("certificate", &files.certificate, text);
        let of_ca = |text: String| TlsError::new("ca", &files.ca, text);
        let chain = files::certificates("certificate", &files.certificate)?;
        let names = chain.first().map(dns_names).unwrap_or_default();
        let names = names.ok_or_else(|| of_certificate("its first certificate cannot be read".to_owned()))?;
        if names.is_empty() {
            return Err(of_certificate(
                "is for no name: the name of the node must be among its DNS names (subjectAltName)"
                    .to_owned(),
            ));
        }
        let roots = files::certificates("ca", &files.ca)?;
        let store = store("ca", &files.ca, &roots)?;
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&store), Arc::clone(&provider));
        let servers = servers.build().map_err(|error| of_ca(error.to_string()))?;
        let clients = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(&provider));
        let clients = clients.build().map_err(|error| of_ca(error.to_string()))?;
        let key = files::key(&files.key)?;
        let wrong_key = |error: Error| wrong_key(&files.key, &error);
        let verifier = Arc::clone(&clients);
        let mut server = server_config(&provider, verifier, &chain, key.clone_key()).map_err(wrong_key)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(wrong_key)?
            .with_webpki_verifier(Arc::clone(&servers))
            .with_client_auth_cert(chain.clone(), key)
            .map_err(wrong_key)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        // The name of the node that is called would be readable, and its acceptor has one certificate.
        client.enable_sni = false;
        client.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(TICKET_PEERS_MAX)));
        Ok(Identity {
            client: Arc::new(client),
            server: Arc::new(server),
            clients,
            servers,
            chain,
            roots,
            names,
        })
    }

    /// Whether another one proves and verifies the same. The key belongs to the certificate.
    pub(super) fn is_same(&self, other: &Identity) -> bool {
        self.chain == other.chain && self.roots == other.roots
    }

    /// Verifies the certificate of a dialler, as of now.
    pub(super) fn verify_dialler(&self, chain: &[CertificateDer<'_>]) -> Result<(), TlsFault> {
        verify_client(&*self.clients, chain)
    }

    /// Verifies the certificate of an acceptor that must have this name, as of now.
    pub(super) fn verify_acceptor(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), TlsFault> {
        self.verify_acceptor_at(chain, name, UnixTime::now())
            .map_err(of_error)
    }

    fn verify_acceptor_at(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        time: UnixTime,
    ) -> Result<(), Error> {
        let (own, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.servers
            .verify_server_cert(own, between, name, &[], time)
            .map(|_| ())
    }

    /// What other nodes with the same CA will say of the node's own certificate now, and when it expires, in seconds
    /// since 1970; `None` where it is not known.
    pub(super) fn judge_own(&self) -> (Result<(), TlsFault>, Option<u64>) {
        let judge = |time| {
            let name = self.names.first().map(String::as_str).unwrap_or_default();
            match ServerName::try_from(name) {
                Ok(name) => self.verify_acceptor_at(&self.chain, &name, time),
                Err(_) => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
            }
        };
        // Long after any certificate has expired, the error says when that was.
        let far = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 64));
        let expires = match judge(far) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                Some(not_after.as_secs())
            }
            _ => None,
        };
        (judge(UnixTime::now()).map_err(of_error), expires)
    }
}

/// The certificates of the CAs in a file, as those that others must come from.
pub(super) fn store(
    setting: &'static str,
    file: &Path,
    roots: &[CertificateDer<'static>],
) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in roots {
        store.add(certificate.clone()).map_err(|error| {
            let text = format!("has a certificate that is none of a CA: {error}");
            TlsError::new(setting, file, text)
        })?;
    }
    Ok(Arc::new(store))
}

/// The settings of those who accept: TLS 1.3, and tickets to resume with.
pub(super) fn server_config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key)?;
    // A ticket holds all that the acceptor must know, so that it keeps nothing for peers that do not come back.
    server.ticketer = ring::Ticketer::new()?;
    Ok(server)
}

/// Verifies the certificate that a peer has shown to the one who accepted it, as of now.
pub(super) fn verify_client(
    verifier: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'_>],
) -> Result<(), TlsFault> {
    let (own, between) = chain
        .split_first()
        .ok_or(Error::NoCertificatesPresented)
        .map_err(of_error)?;
    verifier
        .verify_client_cert(own, between, UnixTime::now())
        .map(|_| ())
        .map_err(of_error)
}

fn of_error(error: Error) -> TlsFault {
    TlsFault::of(&error, false)
}

/// The error of a key that cannot be used. The key itself is not shown.
pub(super) fn wrong_key(file: &Path, error: &Error) -> TlsError {
    let text = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "is not the key of the certificate: make both together, or name those that belong together"
                .to_owned()
        }
        error => format!("cannot be used: {error}"),
    };
    TlsError::new("key", file, text)
}

/// The DNS names of a certificate; `None` if it cannot be read.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let names = certificate.valid_dns_names().take(CERTIFICATE_NAMES_MAX);
    Some(names.map(str::to_owned).collect())
}
