//! TLS, certificates, users and passwords toward a real etcd.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::etcd_server::Etcd;
use crate::node::wait_until;
use crate::support::Folder;

/// Runs openssl in a folder; false where there is none.
fn openssl(folder: &Path, arguments: &str) -> bool {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        true
    })
}

/// A CA, and a certificate for 127.0.0.1 that serves both ends; false, said on the standard error, without openssl.
fn make_certificates(folder: &Folder) -> bool {
    let path = folder.path("");
    folder.write(
        "extensions",
        "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
    );
    let made = [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node -keyout node.key -out node.csr",
        "x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out node.pem",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other-ca -keyout other.key -out other.pem",
    ]
    .iter()
    .all(|arguments| openssl(&path, arguments));
    if !made {
        eprintln!("skipped: there is no openssl here");
    }
    made
}

#[test]
fn tls_with_certificates_of_both_ends_is_used_and_another_ca_is_refused() {
    let folder = Folder::new();
    if !make_certificates(&folder) {
        return;
    }
    let file = |name: &str| folder.path(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("node.pem"), file("node.key"));
    let arguments = [
        "--cert-file",
        &certificate,
        "--key-file",
        &key,
        "--trusted-ca-file",
        &ca,
        "--client-cert-auth",
    ];
    let Some(etcd) = Etcd::start_with(&arguments, true) else {
        return;
    };
    let config = |ca: &str, more: &str| {
        let (address, ca) = (etcd.address(), file(ca));
        format!("discovery = {{ etcd = {{ 'https://{address}' }}, prefix = '/g/', ca = '{ca}', {more} }}")
    };
    let both = format!("certificate = '{certificate}', key = '{key}'");
    let publish = format!(
        "open = 'db' {}",
        config(
            "ca.pem",
            &format!(
                "{both}, advertise = '127.0.0.1:7999', listen = '127.0.0.1:{}'",
                free_port()
            )
        )
    );
    let (own, log) = (Folder::new(), "etcd has this node as db at 127.0.0.1:7999");
    let node = own.start(&publish);
    wait_until("it is published", || own.lines_with(log) == 1);
    drop(node);
    for (what, text, cause) in [
        ("another CA", config("other.pem", &both), "UnknownIssuer"),
        ("no certificate", config("ca.pem", ""), "ertificate"),
        ("no such file", config("nothing.pem", &both), "nothing.pem"),
        (
            "a plain client",
            format!(
                "discovery = {{ etcd = {{ '{}' }}, prefix = '/g/' }}",
                etcd.address()
            ),
            "",
        ),
    ] {
        let own = Folder::new();
        let node = own.start(&text);
        wait_until(what, || own.lines_with("etcd is lost") == 1);
        assert_eq!(own.lines_with(cause).min(1), 1, "{what}: {}", own.log());
        drop(node);
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

#[test]
fn user_and_password_are_used_and_never_logged() {
    let Some(etcd) = Etcd::start() else { return };
    const PASSWORD: &str = "pass-4711-word";
    for (path, body) in [
        (
            "/v3/auth/user/add",
            format!(r#"{{"name":"root","password":"{PASSWORD}"}}"#),
        ),
        ("/v3/auth/role/add", r#"{"name":"root"}"#.to_owned()),
        (
            "/v3/auth/user/grant",
            r#"{"user":"root","role":"root"}"#.to_owned(),
        ),
        ("/v3/auth/enable", "{}".to_owned()),
    ] {
        let answer = etcd.post(path, &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let config = |password: &str| {
        let (address, port) = (etcd.address(), free_port());
        format!(
            "open = 'db' discovery = {{ etcd = {{ '{address}' }}, prefix = '/g/', user = 'root', password = '{password}', \
             advertise = '127.0.0.1:{port}' }}"
        )
    };
    let right = Folder::new();
    let node = right.start(&config(PASSWORD));
    wait_until("it is published", || {
        right.lines_with("etcd has this node as db") == 1
    });
    drop(node);
    let wrong = Folder::new();
    let node = wrong.start(&config("wrong-0815-word"));
    wait_until("it is refused", || wrong.lines_with("etcd is lost") == 1);
    assert_eq!(wrong.lines_with("it refuses: "), 1, "{}", wrong.log());
    drop(node);
    for folder in [&right, &wrong] {
        assert_eq!(
            folder.lines_with(PASSWORD) + folder.lines_with("wrong-0815-word"),
            0
        );
    }
    let debug = format!("{:?}", skyring::config::NodeConfig::load(&right.path("config")));
    assert!(debug.contains("(hidden)") && !debug.contains(PASSWORD), "{debug}");
}
