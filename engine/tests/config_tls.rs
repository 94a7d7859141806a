//! The certificate of a node config: what is read, what is refused, and that no error shows a key.

#[path = "common/certificates.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod certificates;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use skyring::TlsFiles;
use skyring::config::{ConfigError, NodeConfig};

use crate::certificates::{Ca, Validity};

/// Loads a config with this text in the folder of the CA, where all files are.
fn load(ca: &Ca, text: &str) -> Result<NodeConfig, ConfigError> {
    let file = ca.folder.path().join("config_db");
    fs::write(&file, text).expect("the folder is writable");
    let loaded = NodeConfig::load(&file);
    let shown = match &loaded {
        Ok(config) => format!("{config:?} {:?}", config.security),
        Err(error) => format!("{error} {error:?}"),
    };
    // Whatever happens, nobody sees a key: not one line of any.
    for entry in fs::read_dir(ca.folder.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "key") {
            let key = fs::read_to_string(&path).expect("it is ours");
            let lines = key
                .lines()
                .filter(|line| line.len() > 8 && !line.starts_with("-----"));
            for line in lines {
                assert!(!shown.contains(line), "{shown}");
            }
        }
    }
    loaded
}

fn error(ca: &Ca, text: &str) -> String {
    let error = load(ca, text).expect_err(text).to_string();
    let at = error.find("config_db").expect("the file is named");
    error[at..].to_owned()
}

/// The key of these files, by paths relative to the config.
fn tls(files: &TlsFiles) -> String {
    let name = |path: &std::path::Path| {
        let name = path
            .file_name()
            .expect("a file")
            .to_str()
            .expect("text")
            .to_owned();
        format!("\"{name}\"")
    };
    let (certificate, key, ca) = (name(&files.certificate), name(&files.key), name(&files.ca));
    format!("tls = {{ certificate = {certificate}, key = {key}, ca = {ca} }}")
}

#[test]
fn a_certificate_closes_the_node_and_its_files_are_found_beside_the_config() {
    let ca = Ca::new("the CA");
    let files = ca.files(&["db", "db_old"], Validity::Now);
    let config = load(&ca, &format!("{} thread = 1", tls(&files))).expect("it is valid");
    let security = config.security.expect("it is set");
    let found = security.tls().expect("it is set");
    assert_eq!(found.names(), ["db", "db_old"]);
    assert_eq!(found.warnings(), Vec::<String>::new());
    assert!(found.days_left().is_some_and(|days| days > 300_000));
    assert_eq!(security.secret_count(), 0);
    assert!(!config.environment.contains_key("tls") && config.notices.is_empty());
    // Rules need no secret beside it.
    let rules = "allow = { sdb = { 'gate' } } allow_skynet_peers = { '10.0.0.0/8' }";
    let config = load(&ca, &format!("{} {rules}", tls(&files))).expect("it is valid");
    assert_eq!(config.security.expect("it is set").rule_count(), 1);
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name_and_with_what_to_do() {
    let ca = Ca::new("the CA");
    let files = ca.files(&["db"], Validity::Now);
    let other = ca.files(&["other"], Validity::Now);
    let at = |name: &str, text: &str| {
        let path = ca.folder.path().join(name);
        certificates::write_key(&path, text);
        path
    };
    let good = |change: &dyn Fn(&mut TlsFiles)| {
        let mut files = files.clone();
        change(&mut files);
        error(&ca, &tls(&files))
    };
    let missing = good(&|files| files.key = "missing.key".into());
    assert!(
        missing.contains("config_db: tls.key: missing.key: cannot be read: No such file"),
        "{missing}"
    );
    let swapped = good(&|files| std::mem::swap(&mut files.key, &mut files.certificate));
    // The key is no certificate, and its file is read first.
    assert!(
        swapped.contains("tls.certificate: ") && swapped.contains("has no certificate in PEM"),
        "{swapped}"
    );
    let text = at("text.pem", "no PEM at all");
    let no_pem = good(&|files| files.ca.clone_from(&text));
    assert!(
        no_pem.contains("tls.ca: ") && no_pem.contains("has no certificate in PEM"),
        "{no_pem}"
    );
    let half = fs::read_to_string(&files.certificate).expect("it is there");
    let half = at("half.pem", &half[..half.len() / 2]);
    let cut = good(&|files| files.certificate.clone_from(&half));
    assert!(cut.contains("is not valid PEM; is it cut off?"), "{cut}");
    let mismatch = good(&|files| files.key.clone_from(&other.key));
    assert!(
        mismatch.contains("tls.key: ") && mismatch.contains("is not the key of the certificate"),
        "{mismatch}"
    );
    let folder = ca.folder.path().join("folder");
    fs::create_dir(&folder).expect("the folder is writable");
    let folder = good(&|files| files.ca.clone_from(&folder));
    assert!(folder.contains("not a regular file"), "{folder}");
    let empty = at("empty.pem", "");
    let empty = good(&|files| files.certificate.clone_from(&empty));
    assert!(empty.contains("has no certificate in PEM"), "{empty}");
    let large = at("large.pem", &"x".repeat(300_000));
    let large = good(&|files| files.ca.clone_from(&large));
    assert!(large.contains("larger than 262144 bytes"), "{large}");
    let nameless = ca.files(&[], Validity::Now);
    let nameless = error(&ca, &tls(&nameless));
    assert!(nameless.contains("is for no name"), "{nameless}");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let open = error(&ca, &tls(&files));
    assert!(
        open.contains("others may read or change it (its mode is 0644)"),
        "{open}"
    );
}

#[test]
fn a_key_of_a_wrong_form_is_refused() {
    let ca = Ca::new("the CA");
    let good = tls(&ca.files(&["db"], Validity::Now));
    for (text, cause) in [
        ("tls = true", "tls: expected { certificate = "),
        ("tls = {}", "tls: has no certificate; expected"),
        ("tls = { certificate = 'x', key = 'y' }", "has no ca; expected"),
        (
            "tls = { certificate = 7, key = 'y', ca = 'z' }",
            "tls.certificate: expected the path of a file",
        ),
        (
            "tls = { certificate = 'x', key = 'y', ca = 'z', name = 'db' }",
            "tls.name: is not known",
        ),
        (
            "TLS = { certificate = 'x', key = 'y', ca = 'z' }",
            "is it meant to be tls? The node would be open",
        ),
        (
            "tsl = { certificate = 'x', key = 'y', ca = 'z' }",
            "is it meant to be tls? The node would be open",
        ),
        (
            &format!("{good} dialect = 'skynet'"),
            "excludes cluster_secret and tls",
        ),
        (
            &format!("{good} open = 'gate'"),
            "is for db, and not for \"gate\", the name of this node",
        ),
    ] {
        let error = error(&ca, text);
        assert!(error.contains(cause), "{error}");
    }
    // A key with other letters is the user's.
    assert!(load(&ca, "tps = 7").is_ok());
}

#[test]
fn what_other_nodes_will_not_accept_is_a_warning() {
    let (ca, other) = (Ca::new("the CA"), Ca::new("another CA"));
    let warnings = |files: &TlsFiles| {
        let config = load(&ca, &tls(files)).expect("it can be read");
        assert!(
            config
                .security
                .expect("it is set")
                .tls()
                .is_some_and(|tls| tls.days_left().is_none())
        );
        config.notices.join("\n")
    };
    let expired = warnings(&ca.files(&["db"], Validity::Expired));
    assert!(
        expired.contains("other nodes will refuse this node: it has a certificate that has expired"),
        "{expired}"
    );
    let early = warnings(&ca.files(&["db"], Validity::NotYet));
    assert!(
        early.contains("it has a certificate that is not yet valid"),
        "{early}"
    );
    let (certificate, key) = other.issue(&["db"], Validity::Now);
    let files = ca.files(&["db"], Validity::Now);
    fs::write(&files.certificate, certificate).expect("it is writable");
    certificates::write_key(&files.key, &key);
    let foreign = warnings(&files);
    assert!(
        foreign.contains("it has a certificate that does not come from the CA"),
        "{foreign}"
    );
}
