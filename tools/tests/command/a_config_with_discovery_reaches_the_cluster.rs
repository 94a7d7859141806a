//! `call`, `bench` and `cluster` find the nodes as the node does whose config they are given. With a real etcd.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::common::{Folder, Running, assert_one_line, free_port, outcome, output, wait_until};

/// Ended when the test is.
struct Etcd {
    child: Child,
    port: u16,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None`, said on the standard error, where there is none.
fn etcd(folder: &Folder) -> Option<Etcd> {
    let found = Command::new("etcd").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no etcd here");
        return None;
    }
    let (port, peer) = (free_port(), free_port());
    let url = |port| format!("http://127.0.0.1:{port}");
    let child = Command::new("etcd")
        .arg("--data-dir")
        .arg(folder.path("etcd"))
        .args([
            "--listen-client-urls",
            &url(port),
            "--advertise-client-urls",
            &url(port),
        ])
        .args([
            "--listen-peer-urls",
            &url(peer),
            "--initial-advertise-peer-urls",
            &url(peer),
        ])
        .args(["--initial-cluster", &format!("default={}", url(peer))])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path("etcd.log")).expect("a file"))
        .spawn()
        .expect("it starts");
    let etcd = Etcd { child, port };
    wait_until("etcd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(etcd)
}

#[test]
fn a_cluster_without_a_map_is_called_measured_and_shown_with_the_config_of_a_node() {
    let folder = Folder::new();
    let Some(etcd) = etcd(&folder) else { return };
    folder.write("secret", "zqxjkvzqxjkvzqxjkvzqxjkvzqxjkvzq");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.path("secret"), mode).expect("it is ours");
    let port = free_port();
    let discovery = |more: &str| {
        format!(
            "cluster_secret_file = 'secret'\ndiscovery = {{ etcd = {{ '127.0.0.1:{}' }}, prefix = '/tools/', {more} }}\n",
            etcd.port
        )
    };
    let advertise = format!("advertise = '127.0.0.1:{port}', zone = 'beijing'");
    let db = discovery(&advertise) + "open = 'db'\nservices = { sdb = 'simpledb' }\n";
    folder.write("config_db", db);
    folder.write("config_admin", discovery(""));
    let _db = Running::node(&folder.path("config_db"));
    let admin = folder.path("config_admin");
    let admin = admin.to_str().expect("a path of text");

    let call = outcome(&output(["call", "--map", admin, "db", "@sdb", "PING"]));
    assert_eq!(call, (Some(0), "PONG\n".to_owned(), String::new()));
    assert_one_line(
        &output(["call", "--map", admin, "scene", "@sdb", "PING"]),
        1,
        "which has db",
    );
    let measured = outcome(&output([
        "bench",
        "--map",
        admin,
        "--node",
        "db",
        "--address",
        "@sdb",
        "--seconds",
        "0.3",
        "--warmup",
        "0",
        "--json",
        "-",
        "--",
        "PING",
    ]));
    assert_eq!(measured.0, Some(0), "{measured:?}");
    assert!(measured.1.contains("\"errors\":0"), "{measured:?}");

    let (code, text, error) = outcome(&output(["cluster", "--map", admin]));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let line = text
        .lines()
        .find(|line| line.starts_with("db"))
        .expect("its line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(words[..4], ["db", "up", &address, "etcd"], "{text}");
    // The age, such as `2 s`, the version and the zone.
    assert_eq!(words[5..], ["s", env!("CARGO_PKG_VERSION"), "beijing"], "{text}");

    drop(etcd);
    assert_one_line(
        &output(["call", "--map", admin, "db", "@sdb", "PING"]),
        1,
        "cannot connect",
    );
}
