//! Mistakes in `discovery`, each named with its file, key and value.

use skyring::config::NodeConfig;

use crate::support::Folder;

#[test]
fn a_mistake_is_named_with_file_key_and_value() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '127.0.0.1:7101'");
    let cases = [
        (
            "discovery = true",
            "discovery: expected a table, as in { watch = true }, found true",
        ),
        (
            "cluster = 'map.lua' discovery = { watch = 'yes' }",
            "discovery.watch: expected true or false, found \"yes\"",
        ),
        (
            "cluster = 'map.lua' discovery = { watched = true }",
            "discovery.watched: not known",
        ),
        (
            "discovery = { etcd = 'a:1', prefix = '/g/' }",
            "discovery.etcd: expected a table of its servers, as in { \"127.0.0.1:2379\" }, found \"a:1\"",
        ),
        (
            "discovery = { etcd = {}, prefix = '/g/' }",
            "discovery.etcd: expected 1 to 16 servers",
        ),
        (
            "discovery = { etcd = { 'a' }, prefix = '/g/' }",
            "discovery.etcd[1]: expected \"host:port\", found \"a\"",
        ),
        (
            "discovery = { etcd = { 7 }, prefix = '/g/' }",
            "discovery.etcd[1]: expected \"HOST:PORT\" or \"https://HOST:PORT\", found the number 7",
        ),
        ("discovery = { etcd = { 'a:1' } }", "discovery.prefix: missing"),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g' }",
            "discovery.prefix: expected a text of up to 255 bytes that ends with /, found \"/g\"",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', lease_s = 1 }",
            "discovery.lease_s: expected seconds, 2 to 86400, found the number 1",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', grace_s = -1 }",
            "discovery.grace_s: expected seconds, 0 to 86400, found the number -1",
        ),
        (
            "open = 'db' discovery = { etcd = { 'a:1' }, prefix = '/g/', advertise = '0.0.0.0:7101' }",
            "discovery.advertise: expected the address by which other nodes reach this one; where it listens may stand \
             in listen, found \"0.0.0.0:7101\"",
        ),
        (
            "open = 'db' discovery = { etcd = { 'a:1' }, prefix = '/g/', advertise = '[::]:7101' }",
            "discovery.advertise: expected the address by which",
        ),
        (
            "open = 'db' discovery = { etcd = { 'a:1' }, prefix = '/g/', advertise = 'db:0' }",
            "discovery.advertise: expected \"host:port\" with a port from 1 to 65535, found \"db:0\"",
        ),
        (
            "open = 'db' discovery = { etcd = { 'a:1' }, prefix = '/g/' }",
            "discovery.advertise: missing",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', advertise = 'db:1' }",
            "discovery.advertise: without effect for a node without a name; add open = \"NAME\"",
        ),
        (
            "open = 'a/b' discovery = { etcd = { 'a:1' }, prefix = '/g/', advertise = 'db:1' }",
            "open: expected a name without /",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', user = 'root' }",
            "discovery.password: missing",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', user = 'root', password = 4711 }",
            "discovery.password: expected text, found something else",
        ),
        (
            "discovery = { etcd = { 'https://a:1' }, prefix = '/g/' }",
            "discovery.ca: missing",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', ca = 'ca.pem' }",
            "discovery.ca: has no effect without TLS",
        ),
        (
            "discovery = { etcd = { 'https://a:1' }, prefix = '/g/', ca = 'ca.pem', key = 'k.pem' }",
            "discovery.certificate: missing",
        ),
        (
            "cluster = 'map.lua' discovery = { watch = true, prefix = '/g/' }",
            "discovery.prefix: has no effect without etcd",
        ),
        (
            "discovery = { etcd = { 'a:1' }, prefix = '/g/', dns = 'db.test', port = 1 }",
            "discovery.dns: there is etcd too; nodes are found by one of the two",
        ),
        (
            "discovery = { dns = 7 }",
            "discovery.dns: expected text, found the number 7",
        ),
        (
            "discovery = { dns = 'a b' }",
            "discovery.dns: expected the name of a service or of a host",
        ),
        ("discovery = { dns = 'db.test' }", "discovery.port: missing"),
        (
            "discovery = { dns = 'db.test', port = 0 }",
            "discovery.port: expected a port from 1 to 65535, found the number 0",
        ),
        (
            "discovery = { dns = '_a._tcp.test', port = 1 }",
            "discovery.port: has no effect",
        ),
        (
            "discovery = { dns = '_a._tcp.test', policy = 'hash' }",
            "discovery.policy: has no effect",
        ),
        (
            "discovery = { dns = 'db.test', port = 1, policy = 'best' }",
            "discovery.policy: expected one of \"failover\"",
        ),
        (
            "discovery = { dns = 'db.test', port = 1, server = 'ns' }",
            "discovery.server: expected the address and port of a server, found \"ns\"",
        ),
        (
            "discovery = { dns = 'db.test', port = 1, period_s = 0 }",
            "discovery.period_s: expected seconds, 1 to 86400, found the number 0",
        ),
        (
            "cluster = 'map.lua' discovery = { watch = true, grace_s = 1 }",
            "discovery.grace_s: has no effect without etcd or dns",
        ),
        (
            "cluster = 'map.lua' discovery = { watch = true, period_s = 1 }",
            "discovery.period_s: has no effect without dns",
        ),
        (
            "discovery = { watch = true }",
            "discovery.watch: needs a cluster map; add cluster = \"FILE\"",
        ),
    ];
    for (text, expected) in cases {
        folder.write("config", text);
        let file = folder.path("config");
        let error = NodeConfig::load(&file).expect_err(text).to_string();
        let expected = format!("{}: {expected}", file.display());
        assert!(error.starts_with(&expected), "{text}: {error}");
    }
}

#[test]
fn a_misspelt_discovery_is_asked_about() {
    let folder = Folder::new();
    folder.write("config", "discovry = 'watch'");
    let config = NodeConfig::load(&folder.path("config")).expect("it is kept for getenv");
    assert!(
        config
            .notices
            .iter()
            .any(|notice| notice.contains("meant to be discovery"))
    );
}
