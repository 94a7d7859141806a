//! TLS of servers whose clients are no nodes: a certificate and its key, and, where clients must have certificates too,
//! the CA of these.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};

use super::current::{EXPIRY_WARNING_DAYS, days_until};
use super::fault::{TLS_REASONS, TlsFault, TlsReason};
use super::files::{self, TlsError};
use super::identity::{dns_names, provider, server_config, store, verify_client, wrong_key};
use crate::file_mark::{Changes, Mark, mark};

/// The files of a server's certificate, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// The certificate, followed by those between it and the CA's, if there are any.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, SEC1 or PKCS#1. Others must not be able to read it.
    pub key: PathBuf,
    /// The certificates of the CAs that those of clients must come from; `None`: clients need none.
    pub client_ca: Option<PathBuf>,
}

impl ServerTlsFiles {
    fn marks(&self) -> [Mark; 3] {
        let ca = self.client_ca.as_deref().and_then(mark);
        [mark(&self.certificate), mark(&self.key), ca]
    }
}

/// The certificate of a server whose clients are no nodes, as it is in force; see
/// [`Sockets::start_tls`](crate::Sockets::start_tls). Clones share it, its reloads, and what is counted.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

/// What the clones share.
struct Shared {
    files: ServerTlsFiles,
    provider: Arc<CryptoProvider>,
    current: Mutex<Arc<ServerIdentity>>,
    changes: Mutex<Changes<[Mark; 3]>>,
    counters: Arc<ServerCounters>,
}

impl ServerTls {
    /// Reads the files. Blocks for as long as they take.
    ///
    /// # Errors
    /// [`TlsError`] for a file that is missing, unreadable, too large or not PEM, and a key that others may read or that
    /// is not that of the certificate.
    pub fn load(files: ServerTlsFiles) -> Result<ServerTls, TlsError> {
        ServerTls::load_with(files, provider())
    }

    /// As [`ServerTls::load`], with other ciphers, signatures and random numbers: a fuzz target has some that cost little.
    pub(crate) fn load_with(
        files: ServerTlsFiles,
        provider: Arc<CryptoProvider>,
    ) -> Result<ServerTls, TlsError> {
        // Before they are read: what changes meanwhile is read again.
        let marks = files.marks();
        let counters = Arc::<ServerCounters>::default();
        let identity = Arc::new(ServerIdentity::load(&files, Arc::clone(&provider), &counters)?);
        Ok(ServerTls(Arc::new(Shared {
            files,
            provider,
            current: Mutex::new(identity),
            changes: Mutex::new(Changes::new(marks)),
            counters,
        })))
    }

    /// Reads the files again, for connections that begin from now on; returns whether they say something else. When that
    /// fails nothing changes.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub fn reload(&self) -> Result<bool, TlsError> {
        let provider = Arc::clone(&self.0.provider);
        let identity = Arc::new(ServerIdentity::load(&self.0.files, provider, &self.0.counters)?);
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The tickets that clients have are those of the present one.
        let is_changed = current.chain != identity.chain || current.roots != identity.roots;
        if is_changed {
            *current = identity;
        }
        Ok(is_changed)
    }

    /// Looks whether the files have changed, and reads them again once a change has lasted from one look to the next, so
    /// that they are seldom read while they are written. `None`: there was nothing to read.
    pub(crate) fn look(&self) -> Option<Result<bool, TlsError>> {
        let now = self.0.files.marks();
        let mut changes = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if !changes.see(now) || !changes.are_new() {
            return None;
        }
        changes.accept();
        drop(changes);
        Some(self.reload())
    }

    /// The files that it is read from.
    pub fn files(&self) -> &ServerTlsFiles {
        &self.0.files
    }

    /// The DNS names that the certificate is for; there may be none, where it is for addresses.
    pub fn names(&self) -> Vec<String> {
        self.identity().names.clone()
    }

    /// What clients will have against the certificate, or soon will, as far as it can be told without their CAs.
    pub fn warnings(&self) -> Vec<String> {
        let file = self.0.files.certificate.display();
        let warning = |text: String| vec![format!("{file}: {text}")];
        match self.identity().validity {
            Validity::Wrong => {
                warning("clients will refuse the certificate: it is not for servers".to_owned())
            }
            Validity::Until(expires_s) => match days_until(expires_s) {
                None => warning("clients will refuse the certificate: it has expired".to_owned()),
                Some(0) => warning("the certificate expires in less than a day".to_owned()),
                Some(days) if days < EXPIRY_WARNING_DAYS => {
                    warning(format!("the certificate expires in {days} days"))
                }
                Some(_) => Vec::new(),
            },
        }
    }

    /// What was counted since it was loaded, whichever certificate was in force.
    pub fn counts(&self) -> ServerTlsCounts {
        let counters = &self.0.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failed = |reason| counters.of(reason).map_or(0, count);
        ServerTlsCounts {
            handshakes: count(&counters.handshakes),
            resumptions: count(&counters.resumptions),
            not_tls: failed(TlsReason::NotTls),
            incompatible: failed(TlsReason::Incompatible),
            refused: failed(TlsReason::Refused),
            too_long: failed(TlsReason::TooLong),
            malformed: failed(TlsReason::Malformed),
            certificate_missing: failed(TlsReason::NoCertificate),
            certificate_expired: failed(TlsReason::Expired),
            certificate_early: failed(TlsReason::NotYetValid),
            certificate_other_ca: failed(TlsReason::OtherCa),
            certificate_invalid: failed(TlsReason::InvalidCertificate),
            abandoned: count(&counters.abandoned),
            closed_early: count(&counters.closed_early),
            truncated: count(&counters.truncated),
        }
    }

    /// What is in force.
    pub(crate) fn identity(&self) -> Arc<ServerIdentity> {
        Arc::clone(&self.0.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ServerTls").field(&self.0.files).finish()
    }
}

/// What has become of the connections of clients with TLS. Each that has failed is counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerTlsCounts {
    /// Handshakes in full.
    pub handshakes: u64,
    /// Handshakes that resumed an earlier one.
    pub resumptions: u64,
    /// Clients that did not speak TLS.
    pub not_tls: u64,
    /// Clients without TLS 1.3, or without a cipher in common.
    pub incompatible: u64,
    /// Clients that said with an alert that they do not trust the certificate, or why else they end.
    pub refused: u64,
    /// Handshakes with too many bytes.
    pub too_long: u64,
    /// Bytes that are not those of TLS, or were changed on their way; before and after the end of the handshake.
    pub malformed: u64,
    /// Clients without a certificate, where they must have one.
    pub certificate_missing: u64,
    /// Clients whose certificate has expired.
    pub certificate_expired: u64,
    /// Clients whose certificate is not yet valid.
    pub certificate_early: u64,
    /// Clients whose certificate comes from another CA.
    pub certificate_other_ca: u64,
    /// Clients whose certificate is wrong in another way.
    pub certificate_invalid: u64,
    /// Clients that ended the connection before the handshake had ended, without a word.
    pub abandoned: u64,
    /// Connections that this side closed before the handshake had ended, mostly because it took too long.
    pub closed_early: u64,
    /// Connections that ended after the handshake without the client's goodbye (`close_notify`): cut by somebody, or by a
    /// client that does not say it.
    pub truncated: u64,
}

/// Counters that all certificates of one server share.
#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    handshakes: AtomicU64,
    resumptions: AtomicU64,
    failed: [AtomicU64; TLS_REASONS.len()],
    abandoned: AtomicU64,
    closed_early: AtomicU64,
    truncated: AtomicU64,
}

/// How a connection without a fault of TLS ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// By the client, within the handshake.
    Abandoned,
    /// By this side, within the handshake.
    ClosedEarly,
    /// By somebody, without a goodbye.
    Truncated,
}

impl ServerCounters {
    fn of(&self, reason: TlsReason) -> Option<&AtomicU64> {
        let at = TLS_REASONS.iter().position(|other| *other == reason)?;
        self.failed.get(at)
    }

    /// Counts a handshake that has ended well.
    pub(crate) fn count_handshake(&self, is_resumed: bool) {
        let counter = match is_resumed {
            true => &self.resumptions,
            false => &self.handshakes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that has failed.
    pub(crate) fn count_fault(&self, reason: TlsReason) {
        if let Some(counter) = self.of(reason) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection that has ended otherwise than it should.
    pub(crate) fn count_unfinished(&self, unfinished: Unfinished) {
        let counter = match unfinished {
            Unfinished::Abandoned => &self.abandoned,
            Unfinished::ClosedEarly => &self.closed_early,
            Unfinished::Truncated => &self.truncated,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a certificate says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    /// It is valid until then, in seconds since 1970, if clients trust its CA.
    Until(u64),
    /// It is none of a server.
    Wrong,
}

/// The certificate of a server, and what those of clients must prove.
pub(crate) struct ServerIdentity {
    pub(super) config: Arc<ServerConfig>,
    /// `None`: clients need no certificate.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    names: Vec<String>,
    validity: Validity,
    pub(crate) counters: Arc<ServerCounters>,
}

impl ServerIdentity {
    fn load(
        files: &ServerTlsFiles,
        provider: Arc<CryptoProvider>,
        counters: &Arc<ServerCounters>,
    ) -> Result<ServerIdentity, TlsError> {
        let chain = files::certificates("certificate", &files.certificate)?;
        let own = chain.first();
        let names = own.and_then(dns_names).ok_or_else(|| {
            let text = "its first certificate cannot be read";
            TlsError::new("certificate", &files.certificate, text)
        })?;
        let (clients, roots) = match &files.client_ca {
            None => (None, Vec::new()),
            Some(file) => {
                let roots = files::certificates("client_ca", file)?;
                let store = store("client_ca", file, &roots)?;
                let clients = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(&provider));
                let of_ca = |error: rustls::server::VerifierBuilderError| {
                    TlsError::new("client_ca", file, error.to_string())
                };
                (Some(clients.build().map_err(of_ca)?), roots)
            }
        };
        let key = files::key(&files.key)?;
        let verifier = clients.clone().unwrap_or_else(|| Arc::new(NoClientAuth));
        let config =
            server_config(&provider, verifier, &chain, key).map_err(|error| wrong_key(&files.key, &error))?;
        Ok(ServerIdentity {
            config: Arc::new(config),
            clients,
            validity: own.map_or(Validity::Wrong, validity),
            chain,
            roots,
            names,
            counters: Arc::clone(counters),
        })
    }

    /// Verifies the certificate of a client again, as of now.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), TlsFault> {
        match &self.clients {
            Some(verifier) => verify_client(&**verifier, chain),
            None => Ok(()),
        }
    }
}

/// What a certificate says of itself, without its CA.
fn validity(certificate: &CertificateDer<'_>) -> Validity {
    // Before its CA is looked for the certificate itself is checked; long after it has expired that says when it was.
    let far = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 64));
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Validity::Wrong;
    };
    let usage = webpki::KeyUsage::server_auth();
    match certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[], &[], far, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Validity::Until(not_after.as_secs()),
        _ => Validity::Wrong,
    }
}
