//! A CA and certificates for the tests of the rooms.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{ServerTls, ServerTlsFiles, Tls, TlsFiles};

/// A CA, and the folder of its files.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn new() -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it is writable");
        let issuer = Issuer::new(params, key);
        Ca { issuer, folder }
    }

    /// A certificate of a server whose clients need none.
    pub(crate) fn server(&self, name: &str) -> ServerTls {
        let files = self.tls(name).files().clone();
        let files = ServerTlsFiles {
            certificate: files.certificate,
            key: files.key,
            client_ca: None,
        };
        ServerTls::load(files).expect("valid files")
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate of a node.
    pub(crate) fn tls(&self, name: &str) -> Tls {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let files = TlsFiles {
            certificate: file("pem"),
            key: file("key"),
            ca: self.folder.path().join("ca.pem"),
        };
        fs::write(&files.certificate, certificate.pem()).expect("it is writable");
        fs::write(&files.key, key.serialize_pem()).expect("it is writable");
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        Tls::load(files).expect("valid files")
    }
}
