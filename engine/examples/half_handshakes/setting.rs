//! The node, its peer, and the bytes of half a handshake.

use std::fs;
use std::io::{BufRead as _, IoSlice, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use skyring::log::Destination;
use skyring::{Answer, Context, Message, Node, NodeBuilder, Security, Service, Tls, TlsFiles};
use skyring_codec::link::{Access, CallerLimits, CallerLink};
use skyring_codec::native::{Hello, Resumption, Secrets, VERSION};

use crate::Outcome;

const SECRET: &str = "0123456789abcdef0123456789abcdef-half";

/// The names of the nodes that are called.
pub(crate) const NODES: [&str; 2] = ["db", "store"];

/// A part of a message.
const PART_BYTES: usize = 50;

/// What is half of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello,
    Proof,
    Tls,
    TlsWhole,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Hello, Kind::Proof, Kind::Tls, Kind::TlsWhole];

    pub(crate) fn of(name: &str) -> Outcome<Kind> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("there is no kind {name:?}: hello, proof, tls or tls-whole").into())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Hello => "hello",
            Kind::Proof => "proof",
            Kind::Tls => "tls",
            Kind::TlsWhole => "tls-whole",
        }
    }

    /// What the flooder sends.
    pub(crate) fn bytes(self) -> Outcome<Vec<u8>> {
        let mut bytes = match self {
            Kind::Hello | Kind::Proof => hello()?,
            Kind::Tls | Kind::TlsWhole => tls_hello()?,
        };
        if matches!(self, Kind::Hello | Kind::Tls) {
            bytes.truncate(PART_BYTES);
        }
        Ok(bytes)
    }

    /// What a node of this name proves and requires.
    fn security(self, name: &str, folder: &Path) -> Outcome<Security> {
        Ok(match self {
            Kind::Hello | Kind::Proof => Security::new(&[SECRET])?,
            Kind::Tls | Kind::TlsWhole => Security::of_tls(Tls::load(TlsFiles {
                certificate: folder.join(format!("{name}.pem")),
                key: folder.join(format!("{name}.key")),
                ca: folder.join("ca.pem"),
            })?),
        })
    }
}

/// The hello of a node with the secret.
fn hello() -> Outcome<Vec<u8>> {
    let mut link = CallerLink::new(CallerLimits::default());
    let secrets = Secrets::new(vec![SECRET.as_bytes().to_vec().into()])?;
    link.set_access(Some(Access {
        secrets: Some(Arc::new(secrets)),
        ..Access::default()
    }));
    let hello = Hello {
        version: VERSION,
        node: "flooder".to_owned(),
        channel: 1,
        channels: 1,
        threads: 1,
        epoch: 1,
        nonce: [1; 16],
        resume: Resumption::New,
        attempt: 0,
        traces: false,
    };
    link.dial(0, &hello)?;
    let mut slices = [IoSlice::new(&[]); 8];
    let count = link.transmit(&mut slices);
    Ok(slices[..count].iter().flat_map(|slice| slice.to_vec()).collect())
}

/// The first message of TLS.
fn tls_hello() -> Outcome<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"skyring/1".to_vec()];
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from("db")?)?;
    let mut bytes = Vec::new();
    tls.write_tls(&mut bytes)?;
    Ok(bytes)
}

/// A folder with the certificates of all nodes.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Outcome<Folder> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key)?;
        fs::write(folder.path().join("ca.pem"), root.pem())?;
        let issuer = Issuer::new(params, key);
        for name in [NODES[0], NODES[1], "gate"] {
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem())?;
            let file = folder.path().join(format!("{name}.key"));
            fs::write(&file, key.serialize_pem())?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        Ok(Folder(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

/// A node of one shard that is about to start.
pub(crate) fn builder(kind: Kind, name: &str, folder: &Path) -> Outcome<NodeBuilder> {
    let builder = Node::builder()
        .name(name)
        .security(kind.security(name, folder)?)
        .log_to(Destination::File("/dev/null".into()));
    Ok(builder)
}

/// Runs a node: prints its address, and its counters of handshakes for each line.
pub(crate) fn node(kind: Kind, name: &str, folder: &Path) -> Outcome<()> {
    let node = builder(kind, name, folder)?.start()?;
    let address = node.block_on(|caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.cluster().register("echo", Some(echo))?;
        caller.cluster().open(0u16, None).await
    })??;
    println!("127.0.0.1:{}", address.port());
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let counters = node.metrics().all();
        let told = counters.iter().filter(|(name, value)| {
            *value > 0
                && ["connections_", "accepts_"]
                    .iter()
                    .any(|start| name.starts_with(start))
        });
        let told: Vec<String> = told.map(|(name, value)| format!("{name} {value}")).collect();
        println!("{}", told.join(", "));
        std::io::stdout().flush()?;
    }
    Ok(())
}
