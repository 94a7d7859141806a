//! TLS of a gate's clients: which files, when they are read again, and what is counted.

use std::path::PathBuf;
use std::time::Duration;

use skyring::{
    Caller, Context, Error, Report, ServerTls, ServerTlsCounts, ServerTlsFiles, Service, TlsError, TlsFiles,
};

/// The time between two looks at the files of the certificate.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);

/// Looks in a day.
const LOOKS_PER_DAY: u64 = 24 * 60 * 60 * 1_000 / LOOK_INTERVAL.as_millis() as u64;

/// TLS of the clients of a gate. All files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateTls {
    /// The gate's certificate, followed by those between it and the CA's; `None`: that of the node.
    pub certificate: Option<PathBuf>,
    /// Its key, which others must not be able to read; `None`: that of the node. Set together with the certificate.
    pub key: Option<PathBuf>,
    /// The CAs of clients, which must have a certificate from one of them; `None`: clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

impl GateTls {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let file = match name {
            "certificate" => &mut self.certificate,
            "key" => &mut self.key,
            _ => &mut self.client_ca,
        };
        *file = Some(value.into());
    }

    /// Checks what can be checked without a node: the files of its own certificate.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(()),
            _ => self.load(None).map(drop),
        }
    }

    /// Reads the certificate: its own, or that of the node.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn load(&self, of_node: Option<TlsFiles>) -> Result<ServerTls, String> {
        let (certificate, key) = match (&self.certificate, &self.key, of_node) {
            (Some(certificate), Some(key), _) => (certificate.clone(), key.clone()),
            (Some(_), None, _) => {
                return Err("certificate is set and key is not; they belong together".to_owned());
            }
            (None, Some(_), _) => {
                return Err("key is set and certificate is not; they belong together".to_owned());
            }
            (None, None, Some(files)) => (files.certificate, files.key),
            (None, None, None) => {
                return Err(
                    "TLS needs a certificate: set certificate=FILE key=FILE, or the node's tls in its config"
                        .to_owned(),
                );
            }
        };
        let client_ca = self.client_ca.clone();
        let files = ServerTlsFiles {
            certificate,
            key,
            client_ca,
        };
        let text = |error: TlsError| format!("{}: {}: {}", error.setting, error.file.display(), error.text);
        ServerTls::load(files).map_err(text)
    }

    /// The same for a gate that starts. What clients may have against the certificate is logged.
    pub(super) fn begin<S: Service>(&self, context: &Context<S>) -> Result<ServerTls, Error> {
        let tls = self.load(context.tls_files());
        let tls = tls.map_err(|cause| Error::invalid(format!("gate: {cause}")))?;
        warn(context, &tls);
        context.spawn(watch(context.clone(), tls.clone()));
        Ok(tls)
    }
}

/// Has changed files read again, for clients that connect from then on, and warns each day before they expire.
async fn watch<S: Service>(context: Context<S>, tls: ServerTls) {
    let mut looks = 0u64;
    loop {
        context.sleep(LOOK_INTERVAL).await;
        context.refresh_certificate(&tls);
        looks += 1;
        if looks.is_multiple_of(LOOKS_PER_DAY) {
            warn(&context, &tls);
        }
    }
}

fn warn(context: &Caller, tls: &ServerTls) {
    for warning in tls.warnings() {
        context.log(warning);
    }
}

/// A count: its name in the answer to `counters`, its name among the node's metrics, and what it is.
type Count = (&'static str, &'static str, &'static str, u64);

fn counts(counts: &ServerTlsCounts) -> [Count; 15] {
    [
        (
            "tls_handshakes",
            "gate_tls_handshakes",
            "TLS handshakes of clients in full.",
            counts.handshakes,
        ),
        (
            "tls_resumptions",
            "gate_tls_resumptions",
            "TLS handshakes of clients that resumed an earlier one.",
            counts.resumptions,
        ),
        (
            "tls_missing",
            "gate_tls_missing",
            "Clients closed because they did not speak TLS.",
            counts.not_tls,
        ),
        (
            "tls_incompatible",
            "gate_tls_incompatible",
            "Clients closed because they have no TLS 1.3, or no cipher in common.",
            counts.incompatible,
        ),
        (
            "tls_refused",
            "gate_tls_refused",
            "Clients that ended TLS with an alert, mostly because they do not trust the certificate.",
            counts.refused,
        ),
        (
            "tls_too_long",
            "gate_tls_too_long",
            "Clients closed because their TLS handshake had too many bytes.",
            counts.too_long,
        ),
        (
            "tls_malformed",
            "gate_tls_malformed",
            "Clients closed because their bytes were not those of TLS, or were changed.",
            counts.malformed,
        ),
        (
            "tls_certificate_missing",
            "gate_tls_certificate_missing",
            "Clients closed because they had no certificate.",
            counts.certificate_missing,
        ),
        (
            "tls_certificate_expired",
            "gate_tls_certificate_expired",
            "Clients closed because their certificate had expired.",
            counts.certificate_expired,
        ),
        (
            "tls_certificate_early",
            "gate_tls_certificate_early",
            "Clients closed because their certificate was not yet valid.",
            counts.certificate_early,
        ),
        (
            "tls_certificate_other_ca",
            "gate_tls_certificate_other_ca",
            "Clients closed because their certificate came from another CA.",
            counts.certificate_other_ca,
        ),
        (
            "tls_certificate_invalid",
            "gate_tls_certificate_invalid",
            "Clients closed because their certificate was wrong in another way.",
            counts.certificate_invalid,
        ),
        (
            "tls_abandoned",
            "gate_tls_abandoned",
            "Clients that ended their connection within the TLS handshake.",
            counts.abandoned,
        ),
        (
            "tls_closed_early",
            "gate_tls_closed_early",
            "Clients closed within the TLS handshake, mostly because it took too long.",
            counts.closed_early,
        ),
        (
            "tls_truncated",
            "gate_tls_truncated",
            "Connections with TLS that ended without the client's close_notify.",
            counts.truncated,
        ),
    ]
}

/// Tells of the counts in the status of the node.
pub(super) fn report(tls: &ServerTls, report: &mut Report) {
    for (_, name, help, count) in counts(&tls.counts()) {
        report.counter(name, help, count);
    }
}

/// Their names and values.
pub(super) fn list(tls: &ServerTls) -> impl Iterator<Item = (&'static str, u64)> {
    counts(&tls.counts())
        .into_iter()
        .map(|(name, _, _, count)| (name, count))
}
