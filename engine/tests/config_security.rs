//! The keys that close a node: what is read, what is refused, and that no error shows a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use skyring::config::{ConfigError, NodeConfig};

/// A secret of the least length, of letters that occur nowhere else.
const SECRET: &str = "zqxjkvzqxjkvzqxjkvzqxjkvzqxjkvzq";

/// Loads a config with this text; the folder is the config's.
fn load_in(folder: &Path, text: &str) -> Result<NodeConfig, ConfigError> {
    let file = folder.join("config_db");
    fs::write(&file, text).expect("the folder is writable");
    let loaded = NodeConfig::load(&file);
    // Whatever happens, nobody sees the secret.
    let shown = match &loaded {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains("zqxjkv"), "{shown}");
    loaded
}

fn load(text: &str) -> Result<NodeConfig, ConfigError> {
    load_in(tempfile::tempdir().expect("a folder").path(), text)
}

/// The error of a config, without its file.
fn error(text: &str) -> String {
    let error = load(text).expect_err(text).to_string();
    let at = error.find("config_db").expect("the file is named");
    error[at..].to_owned()
}

/// Writes a file with a secret.
fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("the folder is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_secret_closes_the_node_and_is_no_part_of_its_environment() {
    let config = load(&format!("cluster_secret = '{SECRET}' thread = 1")).unwrap();
    let security = config.security.expect("it is set");
    assert_eq!(security.secret_count(), 1);
    assert!(!config.environment.contains_key("cluster_secret"));
    let two = load(&format!(
        "cluster_secret = {{ '{SECRET}', '{SECRET}2' }} thread = 1"
    ))
    .unwrap();
    assert_eq!(two.security.expect("it is set").secret_count(), 2);
    // Any bytes are a secret.
    let bytes = load("cluster_secret = ('\\xff\\x00'):rep(16)").unwrap();
    assert!(bytes.security.is_some());
    assert_eq!(load("thread = 1").unwrap().security, None);
}

#[test]
fn a_file_has_one_secret_or_two_on_lines_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    for (text, count) in [
        (format!("{SECRET}\n"), 1),
        (SECRET.to_owned(), 1),
        (format!("{SECRET}1\r\n\n{SECRET}2\r\n"), 2),
    ] {
        write(&file, &text, 0o600);
        // Beside the config, as the map is.
        let config = load_in(folder.path(), "cluster_secret_file = 'secret' thread = 1").unwrap();
        assert_eq!(config.security.as_ref().expect("it is set").secret_count(), count);
        assert_eq!(config.environment_text("cluster_secret_file"), Some("secret"));
    }
}

#[test]
fn a_file_that_others_may_read_or_that_is_no_secret_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let text = format!("cluster_secret_file = '{}'", file.display());
    for (mode, is_accepted) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o666, false),
    ] {
        write(&file, SECRET, mode);
        let loaded = load_in(folder.path(), &text);
        assert_eq!(loaded.is_ok(), is_accepted, "{mode:o}");
        if let Err(error) = loaded {
            let error = error.to_string();
            assert!(
                error.contains("others may read or change it") && error.contains("chmod 600"),
                "{error}"
            );
        }
    }
    for (content, cause) in [
        ("", "empty; make one with: openssl rand -hex 32"),
        ("\n\n", "empty; make one with"),
        ("short", "a secret of 5 bytes is too short, 32 is the least"),
        (
            &format!("{SECRET}1\n{SECRET}2\n{SECRET}3"),
            "3 secrets: there is one, or two",
        ),
        (&"x".repeat(3_000), "so it is no file with secrets"),
    ] {
        write(&file, content, 0o600);
        let error = load_in(folder.path(), &text).expect_err(content).to_string();
        assert!(error.contains(cause), "{error}");
    }
    for (path, cause) in [
        ("nowhere", "cannot be read: No such file"),
        (".", "not a regular file"),
    ] {
        let text = format!("cluster_secret_file = '{path}'");
        let error = load_in(folder.path(), &text).expect_err(path).to_string();
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_the_secret() {
    for (text, expected) in [
        (
            "cluster_secret = ''",
            "config_db: cluster_secret: the secret is empty; make one with: openssl rand -hex 32",
        ),
        (
            "cluster_secret = 'zqxjkv'",
            "config_db: cluster_secret: a secret of 6 bytes is too short, 32 is the least; make one with: openssl rand \
             -hex 32",
        ),
        (
            "cluster_secret = ('zqxjkv'):rep(200)",
            "config_db: cluster_secret: a secret of 1200 bytes is too long, 1024 is the most",
        ),
        (
            "cluster_secret = {}",
            "config_db: cluster_secret: expected a text in quotes, or a table of two, found a table with names",
        ),
        (
            "cluster_secret = 12345678901234567890123456789012",
            "config_db: cluster_secret: expected a text in quotes, or a table of two, found a number",
        ),
        (
            "cluster_secret = true",
            "config_db: cluster_secret: expected a text in quotes, or a table of two, found true or false",
        ),
        (
            "cluster_secret = { zqxjkv = 'zqxjkv' }",
            "config_db: cluster_secret: expected a text in quotes, or a table of two, found a table with names",
        ),
        (
            "cluster_secret = zqxjkvzqxjkvzqxjkvzqxjkvzqxjkvzq",
            "config_db: cluster_secret: is nil, so the node would be open; write it in quotes: cluster_secret = \
             \"$CLUSTER_SECRET\"",
        ),
        (
            "thread = 1\ncluster_secret = 12zqxjkv",
            "config_db:2: syntax error: malformed number near '…'",
        ),
        (
            "cluster_secret = \"zqxjkv\nzqxjkv\"",
            "config_db:1: syntax error: unfinished string near '…'",
        ),
        (
            "cluster_secret = 'zqxjkv'zqxjkv'",
            "config_db:1: syntax error: unfinished string near <eof>",
        ),
        (
            "cluster_secret = 'zqxjkv' .. zqxjkv",
            "config_db:1: attempt to concatenate a nil value (global '…')",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    let twice = error(&format!("cluster_secret = {{ '{SECRET}', '{SECRET}' }}"));
    assert_eq!(twice, "config_db: cluster_secret: both secrets are the same");
    let three = error(&format!(
        "cluster_secret = {{ '{SECRET}', '{SECRET}2', '{SECRET}3' }}"
    ));
    assert!(
        three.ends_with("3 secrets: there is one, or two while they are exchanged"),
        "{three}"
    );
    let both = error(&format!("cluster_secret = '{SECRET}' cluster_secret_file = 'x'"));
    assert!(
        both.ends_with("are both set; which is meant? Remove one"),
        "{both}"
    );
    let skynet = error(&format!("cluster_secret = '{SECRET}' dialect = 'skynet'"));
    assert!(skynet.contains("excludes cluster_secret and tls"), "{skynet}");
}

#[test]
fn a_misspelt_key_that_would_leave_the_node_open_is_an_error() {
    for key in [
        "cluster_secert",
        "cluster_secrets",
        "allow_skynet_peer",
        "cluster_secret_files",
        "Cluster_Secret",
    ] {
        let error = error(&format!("{key} = '{SECRET}'"));
        assert!(
            error.contains(&format!("{key}: is no key of a node; is it meant to be ")),
            "{error}"
        );
    }
}

#[test]
fn networks_of_skynet_peers_are_read_and_wrong_ones_are_refused() {
    let of = |value: &str| {
        load(&format!(
            "cluster_secret = '{SECRET}' allow_skynet_peers = {value}"
        ))
    };
    for (value, networks) in [
        (
            "{ '10.1.0.0/16', 'fd00::/8', '127.0.0.1' }",
            &["10.1.0.0/16", "fd00::/8", "127.0.0.1/32"][..],
        ),
        ("'10.1.0.0/16'", &["10.1.0.0/16"]),
        ("{}", &[]),
        ("''", &[]),
    ] {
        let security = of(value).unwrap().security.expect("it is set");
        let found: Vec<String> = security
            .skynet_networks()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, networks);
    }
    for (value, cause) in [
        ("{ '10.1.0.0/33' }", "found \"10.1.0.0/33\""),
        ("{ '10.1.2.3/16' }", "expected a network such as \"10.1.0.0/16\""),
        ("{ 'localhost' }", "found \"localhost\""),
        ("{ 7 }", "found the number 7"),
        ("{ a = '10.1.0.0/16' }", "found a table"),
        ("true", "found true"),
    ] {
        let error = of(value).expect_err(value).to_string();
        assert!(
            error.contains("allow_skynet_peers: ") && error.contains(cause),
            "{error}"
        );
    }
    let many = (0..300).map(|number| format!("'10.1.{}.{}',", number / 256, number % 256));
    let error = of(&format!("{{ {} }}", many.collect::<String>()))
        .expect_err("too many")
        .to_string();
    assert!(error.ends_with("300 networks, 256 are the most"), "{error}");
    let alone = load("allow_skynet_peers = { '10.1.0.0/16' }")
        .expect_err("no secret")
        .to_string();
    assert!(alone.contains("has no effect without cluster_secret"), "{alone}");
}

#[test]
fn rules_of_who_may_call_what_are_read_and_wrong_ones_are_refused() {
    let of = |text: &str| load(&format!("cluster_secret = '{SECRET}' {text}"));
    for (text, rules, is_open) in [
        ("allow = { sdb = { 'gate*', 'admin' }, agent = 'gate' }", 2, true),
        ("allow = {} allow_default = 'deny'", 0, false),
        ("allow_default = { '*' }", 0, true),
        ("allow_default = {}", 0, false),
        ("allow_default = { 'gate*' }", 0, false),
    ] {
        let security = of(text).expect(text).security.expect("it is set");
        assert_eq!(
            (security.rule_count(), security.is_open_by_default()),
            (rules, is_open),
            "{text}"
        );
    }
    for (text, cause) in [
        (
            "allow = 'gate'",
            "allow: expected { SERVICE = { \"NODE\", \"PATTERN*\" } }, found \"gate\"",
        ),
        ("allow = { sdb = 7 }", "allow.sdb: expected { SERVICE = "),
        ("allow = { sdb = { 'gate', 7 } }", "found the number 7"),
        ("allow = { sdb = { gate = true } }", "found a table"),
        (
            "allow = { ['@sdb'] = { 'gate' } }",
            "allow.@sdb: expected the name of a service, without @ or . in front",
        ),
        ("allow = { sdb = { '' } }", "expected names of nodes such as"),
        (
            "allow_default = 'gate'",
            "allow_default: expected \"deny\", or a list of callers",
        ),
        ("allow_default = false", "allow_default: expected \"deny\""),
    ] {
        let error = of(text).expect_err(text).to_string();
        assert!(error.contains(cause), "{error}");
    }
    for text in ["allow = { sdb = 'gate' }", "allow_default = 'deny'"] {
        let error = load(text).expect_err(text).to_string();
        assert!(
            error.contains("has no effect without cluster_secret or tls: nobody proves who it is"),
            "{error}"
        );
    }
    for key in ["allow_defaults", "alow", "Allow"] {
        let error = of(&format!("{key} = 'deny'")).expect_err(key).to_string();
        assert!(error.contains("The node would be open without it"), "{error}");
    }
}
