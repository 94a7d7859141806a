//! Certificates, and clients with TLS.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Running, connect, start_protocol};

/// The name of the gate in its certificate, which is not that of the node.
pub(crate) const NAME: &str = "play.example";

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A CA, and the folder of its files.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) folder: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn new() -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().expect("a folder");
        // Each has a name of its own.
        let name = format!("CA {}", folder.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it is writable");
        let issuer = Issuer::new(params, key);
        Ca { issuer, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `FILE.pem` and `FILE.key` for a name.
    pub(crate) fn issue(&self, file: &str, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key_file = self.file(&format!("{file}.key"));
        fs::write(&key_file, key.serialize_pem()).expect("it is writable");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        fs::write(self.file(&format!("{file}.pem")), certificate.pem()).expect("it is writable");
    }

    /// The settings of a gate with this certificate.
    pub(crate) fn settings(&self, file: &str) -> String {
        let [certificate, key] = ["pem", "key"].map(|end| self.file(&format!("{file}.{end}")));
        format!("certificate={} key={}", certificate.display(), key.display())
    }

    /// A gate with a valid certificate.
    pub(crate) fn start(&self, scheme: &str, settings: &str) -> Running {
        self.issue("gate", NAME, |_| {});
        start_protocol(scheme, &format!("{settings} {}", self.settings("gate")))
    }

    /// The settings of a client that trusts the CA, with the certificate of this file if there is one.
    pub(crate) fn client(&self, file: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.file("ca.pem")).expect("a certificate");
        roots.add(ca).expect("a CA");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let read = |end: &str| self.file(&format!("{file}.{end}"));
                let certificate = CertificateDer::from_pem_file(read("pem")).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(read("key")).expect("a key");
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .expect("they belong together")
            }
        })
    }

    /// A client; its handshake has not begun.
    pub(crate) fn connect(&self, running: &Running) -> Secured {
        secured(self.client(None), running.port, NAME)
    }
}

/// A client that expects this name; its handshake has not begun.
pub(crate) fn secured(config: Arc<ClientConfig>, port: u16, name: &str) -> Secured {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let tls = ClientConnection::new(config, name).expect("a client");
    StreamOwned::new(tls, connect(port))
}

/// What a client sends first.
pub(crate) fn hello(ca: &Ca) -> Vec<u8> {
    let name = ServerName::try_from(NAME).expect("a name");
    let mut tls = ClientConnection::new(ca.client(None), name).expect("a client");
    let mut bytes = Vec::new();
    tls.write_tls(&mut bytes).expect("memory");
    bytes
}
