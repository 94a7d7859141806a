//! TLS of the clients: a certificate for the gate, and what a client's bytes pass through.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The name of the gate in its certificate.
const NAME: &str = "gate";

/// The files of the certificate, in the folder of the gate.
pub(super) const CERTIFICATE: &str = "gate.pem";
pub(super) const KEY: &str = "gate.key";

/// Makes a certificate for the gate, which signs itself, and its key.
pub(super) fn write_certificate(folder: &Path) -> io::Result<()> {
    let made = || -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (certificate, key) = made().map_err(io::Error::other)?;
    fs::write(folder.join(CERTIFICATE), certificate)?;
    fs::write(folder.join(KEY), key)?;
    fs::set_permissions(folder.join(KEY), fs::Permissions::from_mode(0o600))
}

/// The settings of clients that trust this certificate. They do not resume, so that each connect is a whole handshake.
pub(super) fn client_config(folder: &Path) -> io::Result<Arc<ClientConfig>> {
    let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE)).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What the bytes of one client pass through.
pub(super) struct Secured(Box<ClientConnection>);

impl Secured {
    pub(super) fn new(config: &Arc<ClientConfig>) -> io::Result<Secured> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Secured(Box::new(connection)))
    }

    /// Takes bytes to be sent; those before the end of the handshake are sent after it. What is to be written is appended.
    pub(super) fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.writer().write_all(bytes)?;
        self.write(out)
    }

    /// Takes received bytes, and appends what they say, and what is to be written.
    pub(super) fn open(&mut self, mut bytes: &[u8], said: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets().map_err(io::Error::other)?;
            match self.0.reader().read_to_end(said) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        self.write(out)
    }

    fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(out)?;
        }
        Ok(())
    }
}
