//! The certificates of the ends of a fuzzed conversation, made once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use super::cheap;
use crate::tls::identity::{self, Identity};
use crate::tls::{ServerTls, ServerTlsFiles, Tls, TlsFiles};

/// Who takes part. All who want certificates accept those of the same CA.
pub(super) struct Identities {
    /// A dialler without a ticket.
    pub(super) gate: Arc<Identity>,
    /// The same, which keeps the tickets that it is given.
    pub(super) returning: Arc<Identity>,
    /// One whose certificate is from another CA.
    pub(super) stranger: Arc<Identity>,
    /// The acceptor.
    pub(super) db: Arc<Identity>,
    /// A client without a certificate, and without a ticket.
    pub(super) nobody: Arc<ClientConfig>,
    /// A server that wants no certificates of clients.
    pub(super) open: ServerTls,
    /// One that does.
    pub(super) closed: ServerTls,
}

/// Those whose handshakes cost little.
pub(super) fn cheap() -> &'static Identities {
    static CHEAP: OnceLock<Identities> = OnceLock::new();
    CHEAP.get_or_init(|| identities(&rcgen::PKCS_ED25519, &cheap::provider()))
}

/// Those that prove themselves as nodes do.
pub(super) fn full() -> &'static Identities {
    static FULL: OnceLock<Identities> = OnceLock::new();
    FULL.get_or_init(|| identities(&rcgen::PKCS_ECDSA_P256_SHA256, &identity::provider()))
}

fn identities(algorithm: &'static SignatureAlgorithm, provider: &Arc<CryptoProvider>) -> Identities {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca");
    let issuer = issuer(algorithm, &ca);
    let other = self::issuer(algorithm, &folder.path().join("other"));
    let files = |name: &str, issuer: &Issuer<'_, KeyPair>| {
        let file = |end: &str| folder.path().join(format!("{name}.{end}"));
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        let files = TlsFiles {
            certificate: file("pem"),
            key: file("key"),
            ca: ca.clone(),
        };
        fs::write(&files.certificate, certificate.pem()).expect("it is writable");
        fs::write(&files.key, key.serialize_pem()).expect("it is writable");
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        files
    };
    let node = |name: &str, issuer| {
        let tls = Tls::load_with(files(name, issuer), Arc::clone(provider));
        tls.expect("valid files").identity()
    };
    let server = |name: &str, wants_certificates: bool| {
        let files = files(name, &issuer);
        let files = ServerTlsFiles {
            certificate: files.certificate,
            key: files.key,
            client_ca: wants_certificates.then_some(files.ca),
        };
        ServerTls::load_with(files, Arc::clone(provider)).expect("valid files")
    };
    let returning = node("gate", &issuer);
    Identities {
        gate: without_tickets(&returning),
        returning,
        stranger: without_tickets(&node("stranger", &other)),
        db: node("db", &issuer),
        nobody: without_certificate(&ca, provider),
        open: server("open", false),
        closed: server("closed", true),
    }
}

fn without_certificate(ca: &Path, provider: &Arc<CryptoProvider>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(ca).expect("a certificate");
    roots.add(root).expect("a CA");
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// One that begins anew each time.
fn without_tickets(identity: &Identity) -> Arc<Identity> {
    let mut identity = identity.clone();
    Arc::make_mut(&mut identity.client).resumption = Resumption::disabled();
    Arc::new(identity)
}

fn issuer(algorithm: &'static SignatureAlgorithm, file: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(file, certificate.pem()).expect("it is writable");
    Issuer::new(params, key)
}
