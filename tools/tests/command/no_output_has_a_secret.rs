//! The cluster secrets, the password for etcd and its token are in nothing that a node or a command writes: log, errors,
//! `check`, `doctor`, results, console, error texts of services. Even an etcd that sends back what it was sent changes nothing.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::common::{Folder, Running, free_port, outcome, skyring};

/// What all secrets here have in common, and nothing else has.
pub(crate) const MARK: &str = "zqxjkv";

pub(crate) const SECRET: &str = "zqxjkv-secret-of-the-cluster-zqxjkv-1";
pub(crate) const SECRET_BEFORE: &str = "zqxjkv-secret-of-the-cluster-zqxjkv-2";
pub(crate) const PASSWORD: &str = "zqxjkv-password";
const TOKEN: &str = "zqxjkv-token";

/// Like an etcd with users, for as long as the test: it grants a token, and refuses everything else in the words of the request;
/// each second connection is refused at its authentication.
pub(crate) fn echoing_etcd() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || answer(stream, number % 2 == 0));
        }
    });
    port
}

fn answer(mut stream: TcpStream, grants: bool) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let value = line
                .to_ascii_lowercase()
                .strip_prefix("content-length:")
                .map(str::to_owned);
            length = value
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(length);
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let is_authentication = head.contains("/v3/auth/authenticate");
        let (status, answer) = match is_authentication && grants {
            true => ("200 OK", serde_json::json!({ "token": TOKEN })),
            // What must not be seen comes first, so that nothing cuts it off.
            false => {
                let header = head
                    .lines()
                    .find(|line| line.to_ascii_lowercase().starts_with("authorization"));
                let echo = format!(
                    "{} {}",
                    header.unwrap_or_default(),
                    String::from_utf8_lossy(&body)
                );
                ("400 Bad Request", serde_json::json!({ "error": echo }))
            }
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

/// A node that tells all it knows: in its log, by its console, in the errors of a service.
const MAIN: &str = r#"
local skynet = require "skynet"
skynet.start(function()
    skynet.newservice("debug_console", "127.0.0.1", skynet.getenv "console_port")
    for _, key in ipairs { "cluster_secret", "cluster_secret_file", "discovery", "password", "allow" } do
        skynet.error(key, skynet.getenv(key))
    end
    skynet.fork(function() error("it fails with " .. tostring(skynet.getenv "cluster_secret")) end)
    skynet.fork(function() error { secret = skynet.getenv "cluster_secret" } end)
end)
"#;

/// What the console answers to these commands.
fn console(port: u16, commands: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the console listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut answers = String::new();
    for command in commands {
        stream
            .write_all(format!("{command}\n").as_bytes())
            .expect("it reads");
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).expect("it answers") > 0, "{answers}");
            let is_end = line.starts_with("<CMD ");
            answers.push_str(&line);
            if is_end {
                break;
            }
        }
    }
    answers
}

#[test]
fn neither_a_node_nor_a_command_shows_a_secret_a_password_or_a_token() {
    let folder = Folder::new();
    let (etcd, port, console_port) = (echoing_etcd(), free_port(), free_port());
    fs::create_dir(folder.path("service")).expect("a folder");
    folder.write("service/main.lua", MAIN);
    folder.write("map.lua", format!("db = '127.0.0.1:{port}'\n"));
    let service = folder.path("service/?.lua");
    let config = format!(
        "thread = 1\ncluster = 'map.lua'\nopen = 'db'\nstart = 'main'\nluaservice = '{}'\nconsole_port = {console_port}\n\
         cluster_secret = {{ \"$LEAK_SECRET\", '{SECRET_BEFORE}' }}\nservices = {{ sdb = 'simpledb' }}\n\
         discovery = {{ etcd = {{ '127.0.0.1:{etcd}' }}, prefix = '/leak/', user = 'node', password = \"$LEAK_PASSWORD\" }}\n",
        service.display()
    );
    let config = folder.write("config", config);
    let config = config.to_str().expect("a path of text");
    let command = |arguments: &[&str]| {
        let mut command = skyring(arguments);
        command.env("LEAK_SECRET", SECRET).env("LEAK_PASSWORD", PASSWORD);
        command
    };
    let mut node = Running::node_of(&mut command(&["run", config]));
    node.wait_for("it fails with");
    node.wait_for("etcd is lost");
    let mut outputs = vec![console(
        console_port,
        &[
            "help",
            "list",
            "service",
            "stat",
            "info .launcher",
            "getenv cluster_secret",
            "getenv discovery",
            "getenv LEAK_SECRET",
            "netstat",
            "dumpheap",
            "cmem",
        ],
    )];
    let runs: [&[&str]; 9] = [
        &["check", config],
        &["doctor", config],
        &["cluster", "--map", config],
        &["call", "--map", config, "db", "@sdb", "PING"],
        &[
            "bench",
            "--map",
            config,
            "--node",
            "db",
            "--address",
            "@sdb",
            "--",
            "PING",
        ],
        // Whoever has no secret is told why it is refused.
        &["call", "--map", "map.lua", "db", "@sdb", "PING"],
        &["check", "wrong"],
        &["run", "wrong"],
        &["check", "torn"],
    ];
    folder.write(
        "wrong",
        format!("cluster_secrt = '{SECRET}' cluster_secret = {{ '{SECRET}', 7 }}"),
    );
    folder.write("torn", format!("thread = 1\ncluster_secret = \"{SECRET}\n"));
    for arguments in runs {
        let output = command(arguments).current_dir(folder.path("")).output();
        let (_, text, error) = outcome(&output.expect("the command runs"));
        assert!(!text.is_empty() || !error.is_empty(), "{arguments:?}");
        outputs.push(format!("{arguments:?}\n{text}{error}"));
    }
    outputs.push(node.written());
    for output in outputs {
        let line = output.lines().find(|line| line.contains(MARK));
        assert_eq!(line, None, "in {output}");
    }
    // The refusal of etcd is told, only without what it must not have.
    assert!(node.written().contains("it refuses: "), "{}", node.written());
}
