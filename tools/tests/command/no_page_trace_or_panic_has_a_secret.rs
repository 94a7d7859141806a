//! The cluster secrets, the token of the admin server, passwords and keys are in nothing that a node tells over HTTP, in no trace,
//! and in nothing that its process writes when a service of it panics with all that it knows of its config.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use skyring::config::NodeConfig;
use skyring::log::Destination;
use skyring::{Answer, Context, Message, NodeBuilder, Service};

use crate::common::{Folder, Running, free_port, outcome, skyring, wait_until};
use crate::no_output_has_a_secret::{MARK, PASSWORD, SECRET, SECRET_BEFORE, echoing_etcd};

const ADMIN_TOKEN: &str = "zqxjkv-token-of-the-admin-server";

/// Names the config for the process that panics.
const CONFIG: &str = "LEAK_CONFIG";

/// Fails for a text with a secret.
#[track_caller]
fn assert_clean(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None, "in {what}: {text}");
}

/// A config with everything that is secret, of a node `db` that traces all calls; its path.
fn write_config(folder: &Folder, more: &str) -> (String, u16) {
    let (etcd, port, admin) = (echoing_etcd(), free_port(), free_port());
    folder.write("map.lua", format!("db = '127.0.0.1:{port}'\n"));
    let config = format!(
        "thread = 1\ncluster = 'map.lua'\nopen = 'db'\nservices = {{ sdb = 'simpledb' }}\nslow_call_ms = 1\ntrace_one_in = 1\n\
         cluster_secret = {{ \"$LEAK_SECRET\", '{SECRET_BEFORE}' }}\nadmin = '127.0.0.1:{admin}'\nadmin_token = \"$LEAK_ADMIN\"\n\
         allow = {{ sdb = {{ 'db' }} }}\nallow_default = 'deny'\n\
         discovery = {{ etcd = {{ '127.0.0.1:{etcd}' }}, prefix = '/leak/', user = 'node', password = \"$LEAK_PASSWORD\" }}\n{more}"
    );
    let config = folder.write("config", config);
    (config.to_str().expect("a path of text").to_owned(), admin)
}

fn with_secrets(command: &mut Command) -> &mut Command {
    command
        .env("LEAK_SECRET", SECRET)
        .env("LEAK_PASSWORD", PASSWORD)
        .env("LEAK_ADMIN", ADMIN_TOKEN)
}

/// Everything that the admin server answers to these bytes; empty when it does not listen.
fn answer(port: u16, request: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return String::new();
    };
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).expect("a timeout");
    let mut text = Vec::new();
    // The node may refuse before it has read everything.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn no_page_of_a_node_no_error_of_it_and_no_trace_shows_a_secret() {
    let folder = Folder::new();
    let (config, admin) = write_config(&folder, "");
    let command = |arguments: &[&str]| {
        let mut command = skyring(arguments);
        with_secrets(&mut command);
        command
    };
    let mut node = Running::node_of(&mut command(&["run", &config]));
    node.wait_for("etcd is lost");
    wait_until("the node is ready", || {
        answer(admin, "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").contains(" 200 ")
    });
    // Calls that are traced, and slow, and refused, so that there is something to tell.
    for arguments in [
        &["call", "--map", &config, "db", "@sdb", "PING"][..],
        &["call", "--map", &config, "db", "@nobody", "PING"],
        &["call", "--map", "map.lua", "db", "@sdb", "PING"],
        &["trace", "--map", &config, "db", "@sdb", "PING"],
        &["trace", "--map", &config, "db", "@sdb", "NONSENSE"],
        &["trace", "--map", &config, "--slowest", "20", "db"],
        &[
            "trace",
            "--map",
            &config,
            "--id",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ],
    ] {
        let output = command(arguments).current_dir(folder.path("")).output();
        let (_, text, error) = outcome(&output.expect("the command runs"));
        assert!(!text.is_empty() || !error.is_empty(), "{arguments:?}");
        assert_clean(&format!("{arguments:?}"), &format!("{text}{error}"));
    }
    let right = format!("Authorization: Bearer {ADMIN_TOKEN}\r\n");
    let longer = format!("Authorization: Bearer {ADMIN_TOKEN}{ADMIN_TOKEN}\r\n");
    let basic = format!("Authorization: Basic {ADMIN_TOKEN}\r\n");
    let headers = [
        right.as_str(),
        "",
        "Authorization: Bearer wrong\r\n",
        &longer,
        &basic,
    ];
    let pages = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/status",
        "/api/profile?seconds=1",
        "/api/profile?seconds=nonsense",
        "/nowhere",
        "/%zz",
    ];
    let mut shown = Vec::new();
    for header in headers {
        for page in pages {
            for method in ["GET", "POST", "DELETE"] {
                // A flame graph takes its time: one is enough.
                if page == "/api/profile?seconds=1" && (method, header) != ("GET", &right) {
                    continue;
                }
                let request = format!("{method} {page} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n");
                let text = answer(admin, &request);
                assert!(text.starts_with("HTTP/1.1 "), "{method} {page}: {text}");
                assert_clean(&format!("{method} {page}"), &text);
                if (method, header) == ("GET", &right) && text.contains(" 200 ") {
                    shown.push(page);
                }
            }
        }
    }
    for page in ["/", "/metrics", "/api/status"] {
        assert!(shown.contains(&page), "{page} was not shown, only {shown:?}");
    }
    // What is no HTTP, or too much of it.
    let long = format!("GET /{} HTTP/1.1\r\n{right}\r\n", "x".repeat(100_000));
    for request in [
        "nonsense\r\n\r\n",
        &format!("GET / HTTP/9.9\r\n{right}\r\n"),
        &format!(
            "GET / HTTP/1.1\r\nHost: elsewhere.example\r\nOrigin: http://elsewhere.example\r\n{right}\r\n"
        ),
        &format!("GET / HTTP/1.1\r\n{right}Content-Length: nonsense\r\n\r\n"),
        &long,
    ] {
        assert_clean("a refused request", &answer(admin, request));
    }
    assert_clean("the log", &node.written());
}

/// A service that shows all it can get hold of, and ends with it.
struct Tattler {
    config: NodeConfig,
}

impl Service for Tattler {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        panic!(
            "it panics with {:#?} and {:?}, {:?}, {:?}",
            self.config, self.config.security, self.config.admin, self.config.discovery
        );
    }
}

/// The process of the next test: a node, whose services panic. Without the variable it has nothing to do.
#[test]
fn a_service_panics_with_all_that_it_knows_in_a_process_of_its_own() {
    let Ok(path) = std::env::var(CONFIG) else { return };
    let (config, map) = NodeConfig::load_with_map(path.as_ref()).expect("a config");
    let builder = NodeBuilder::from_config(config.clone(), map).kinds(skyring_services::kinds());
    let node = builder.log_to(Destination::Stdout).start().expect("a node");
    let error = node.block_on(move |caller| async move {
        let tattler = caller.launch(|_| Tattler { config }).await?;
        caller.call(tattler, "tell").await.map(|_| ())
    });
    println!("the call failed with {error:?}");
    // A panic of the program itself, with a config that cannot be read.
    let torn = format!("{path}.torn");
    NodeConfig::load(torn.as_ref()).expect("this one panics");
}

#[test]
fn a_panic_shows_no_secret_whatever_it_tells_of_the_config() {
    let folder = Folder::new();
    for arguments in [&["cert", "ca"][..], &["cert", "node", "db"]] {
        let output = skyring(arguments).current_dir(folder.path("")).output();
        assert!(
            output.expect("the command runs").status.success(),
            "{arguments:?}"
        );
    }
    let tls = "tls = { certificate = './db.pem', key = './db.key', ca = './ca.pem' }\n";
    let (config, _) = write_config(&folder, tls);
    folder.write(
        "config.torn",
        format!("cluster_secret = {{ '{SECRET}', 7 }}\nadmin_token = '{ADMIN_TOKEN}\n"),
    );
    let test = "no_page_trace_or_panic_has_a_secret::a_service_panics_with_all_that_it_knows_in_a_process_of_its_own";
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    with_secrets(&mut command)
        .env(CONFIG, &config)
        .env("RUST_BACKTRACE", "full")
        .current_dir(folder.path(""));
    let output = command.output().expect("the test program starts");
    let (code, text, error) = outcome(&output);
    assert_ne!(code, Some(0), "{text}{error}");
    let all = format!("{text}{error}");
    for part in [
        "it panics with NodeConfig",
        "the call failed with",
        "this one panics",
    ] {
        assert!(all.contains(part), "{part:?} is not in {all}");
    }
    // Twice: as the panic's own message, and in the log.
    assert!(all.matches("it panics with").count() >= 2, "{all}");
    assert_clean("what the process writes", &all);
    let key = fs::read_to_string(folder.path("db.key")).expect("a key");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!all.contains(line), "a part of the key is in {all}");
    }
}
