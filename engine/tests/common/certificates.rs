//! Certificates for tests: CAs, and files of nodes in a folder that vanishes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use skyring::{Security, Tls, TlsFiles};

/// A CA, and a folder for the files of its nodes.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) folder: tempfile::TempDir,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Now,
    Expired,
    NotYet,
}

impl Ca {
    /// A CA of its own name.
    pub(crate) fn new(name: &str) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("the folder is writable");
        let issuer = Issuer::new(params, key);
        Ca { issuer, folder }
    }

    /// The CA's own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate and the key of a node with these names, in PEM.
    pub(crate) fn issue(&self, names: &[&str], validity: Validity) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        let (from, to) = match validity {
            Validity::Now => (2020, 4000),
            Validity::Expired => (2020, 2021),
            Validity::NotYet => (3999, 4000),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes the files of a node.
    pub(crate) fn files(&self, names: &[&str], validity: Validity) -> TlsFiles {
        let (certificate, key) = self.issue(names, validity);
        let name = format!("{}-{validity:?}", names.join("-"));
        let files = TlsFiles {
            certificate: self.folder.path().join(format!("{name}.pem")),
            key: self.folder.path().join(format!("{name}.key")),
            ca: self.file(),
        };
        fs::write(&files.certificate, certificate).expect("the folder is writable");
        write_key(&files.key, &key);
        files
    }

    /// What a node of this name proves and requires.
    pub(crate) fn security(&self, name: &str) -> Security {
        self.security_of(&[name], Validity::Now)
    }

    pub(crate) fn security_of(&self, names: &[&str], validity: Validity) -> Security {
        Security::of_tls(Tls::load(self.files(names, validity)).expect("valid files"))
    }
}

/// Writes a key as only its owner may read it.
pub(crate) fn write_key(file: &Path, key: &str) {
    fs::write(file, key).expect("the folder is writable");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
}
