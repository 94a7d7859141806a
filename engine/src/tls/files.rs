//! The files of a node's certificate: read with bounds, and checked before anything uses them.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::secret_file::{self, Readers};

/// The largest file of certificates or of a key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 256 << 10;

/// Most certificates of one file.
const CERTIFICATES_MAX: usize = 64;

/// The files of a node's certificate, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, followed by those between it and the CA's, if there are any.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, SEC1 or PKCS#1. Others must not be able to read it.
    pub key: PathBuf,
    /// The certificates of the CAs that the certificates of other nodes must come from.
    pub ca: PathBuf,
}

impl TlsFiles {
    /// All three.
    pub fn all(&self) -> [&Path; 3] {
        [&self.certificate, &self.key, &self.ca]
    }
}

/// Why the files of a certificate cannot be used. The text names the file and what to do, and holds no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// The file at fault.
    pub file: PathBuf,
    /// Which of the settings names it: `certificate`, `key` or `ca`.
    pub setting: &'static str,
    /// What is wrong with it.
    pub text: String,
}

impl TlsError {
    pub(super) fn new(setting: &'static str, file: &Path, text: impl Into<String>) -> TlsError {
        TlsError {
            file: file.to_owned(),
            setting,
            text: text.into(),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "tls.{}: {}: {}",
            self.setting,
            self.file.display(),
            self.text
        )
    }
}

impl std::error::Error for TlsError {}

/// Reads a file that is at most [`KEY_FILE_BYTES_MAX`] long.
fn read(setting: &'static str, file: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    secret_file::read(file, KEY_FILE_BYTES_MAX, readers).map_err(|text| TlsError::new(setting, file, text))
}

/// What is wrong with text that is no PEM. Errors of the parser may quote it, so they are not shown.
fn not_pem(setting: &'static str, file: &Path, what: &str, error: &pem::Error) -> TlsError {
    let text = match error {
        pem::Error::NoItemsFound => format!("has no {what} in PEM, which begins with -----BEGIN"),
        _ => format!("is not valid PEM; is it cut off? It must have a {what}"),
    };
    TlsError::new(setting, file, text)
}

/// The certificates of a file: at least one.
pub(super) fn certificates(
    setting: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(setting, file, Readers::All)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes)
        .take(CERTIFICATES_MAX + 1)
        .collect();
    let found = found.map_err(|error| not_pem(setting, file, "certificate", &error))?;
    match found.len() {
        0 => Err(not_pem(setting, file, "certificate", &pem::Error::NoItemsFound)),
        1..=CERTIFICATES_MAX => Ok(found),
        _ => Err(TlsError::new(
            setting,
            file,
            format!("has more than {CERTIFICATES_MAX} certificates"),
        )),
    }
}

/// The private key of a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read("key", file, Readers::Owner)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| not_pem("key", file, "private key", &error))
}
