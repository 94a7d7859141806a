//! The identity in force: read from files, and read again while the node runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;

use super::files::{TlsError, TlsFiles};
use super::identity::{Identity, provider};

/// A certificate that expires within so many days is worth a warning.
pub(super) const EXPIRY_WARNING_DAYS: u64 = 30;

const DAY_S: u64 = 24 * 60 * 60;

/// The certificate of a node, its key, and the CA that the certificates of others must come from. Connections between
/// nodes are encrypted with it, and both ends prove their names. Clones share it, and its reloads.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

/// What the clones share.
struct Shared {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Mutex<Arc<Identity>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] for a file that is missing, unreadable, too large or not PEM, a key that others may read or that is
    /// not that of the certificate, and a certificate without a DNS name.
    pub fn load(files: TlsFiles) -> Result<Tls, TlsError> {
        Tls::load_with(files, provider())
    }

    /// As [`Tls::load`], with other ciphers, signatures and random numbers: a fuzz target has some that cost little.
    pub(crate) fn load_with(files: TlsFiles, provider: Arc<CryptoProvider>) -> Result<Tls, TlsError> {
        let identity = Arc::new(Identity::load(&files, Arc::clone(&provider))?);
        Ok(Tls(Arc::new(Shared {
            files,
            provider,
            current: Mutex::new(identity),
        })))
    }

    /// Reads the files again, for connections that begin from now on; returns whether they say something else. When that
    /// fails nothing changes.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<bool, TlsError> {
        let identity = Arc::new(Identity::load(&self.0.files, Arc::clone(&self.0.provider))?);
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The tickets that peers have are those of the present one.
        let is_changed = !current.is_same(&identity);
        if is_changed {
            *current = identity;
        }
        Ok(is_changed)
    }

    /// The files that it is read from.
    pub fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    /// The names that the certificate is for; there is at least one.
    pub fn names(&self) -> Vec<String> {
        self.identity().names.clone()
    }

    /// For how many whole days other nodes will accept the certificate; `None` where they do not, or it cannot be told.
    pub fn days_left(&self) -> Option<u64> {
        match self.identity().judge_own() {
            (Ok(()), Some(expires_s)) => Some(days_until(expires_s).unwrap_or(0)),
            _ => None,
        }
    }

    /// What is wrong with the certificate although it can be read, or will be soon: other nodes will refuse it.
    pub fn warnings(&self) -> Vec<String> {
        let (judged, expires) = self.identity().judge_own();
        let file = self.0.files.certificate.display();
        if let Err(fault) = judged {
            return vec![format!(
                "tls.certificate: {file}: other nodes will refuse this node: it has {fault}"
            )];
        }
        match expires.map(|expires_s| days_until(expires_s).unwrap_or(0)) {
            Some(0) => vec![format!("tls.certificate: {file}: expires in less than a day")],
            Some(days) if days < EXPIRY_WARNING_DAYS => {
                vec![format!("tls.certificate: {file}: expires in {days} days")]
            }
            _ => Vec::new(),
        }
    }

    /// What is in force.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.0.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whole days from now until a time in seconds since 1970; `None` when that has passed.
pub(super) fn days_until(time_s: u64) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = time_s.checked_sub(now.map_or(0, |now| now.as_secs()));
    left.map(|seconds| seconds / DAY_S)
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

/// Equality of the files that they are read from.
impl PartialEq for Tls {
    fn eq(&self, other: &Tls) -> bool {
        self.0.files == other.0.files
    }
}

impl Eq for Tls {}
