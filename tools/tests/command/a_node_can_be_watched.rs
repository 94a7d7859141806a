//! `admin` in a config: what the node tells over HTTP, and mistakes in its keys.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use skyring::status::NodeStatus;

use crate::common::{
    Folder, Running, assert_refused, free_port, http_status, outcome, output, skyring, wait_until,
};

/// Gets a page; its status and its body.
fn get(port: u16, path: &str, header: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return (0, String::new());
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    (status.unwrap_or(0), body.to_owned())
}

#[test]
fn a_running_node_tells_how_it_is_and_what_its_gate_and_its_lua_services_do() {
    let folder = Folder::new();
    let (port, gate) = (free_port(), free_port());
    let service =
        "local skynet = require 'skynet'\nskynet.start(function() skynet.newservice('agent') end)\n";
    let main = folder.write("main.lua", service);
    folder.write(
        "agent.lua",
        "local skynet = require 'skynet'\nskynet.start(function() end)\n",
    );
    let text = format!(
        "thread = 2\nadmin = \"localhost:{port}\"\nadmin_token = \"$WATCH_TOKEN\"\nstart = \"main\"\n\
         luaservice = \"{}/?.lua\"\n\
         services = {{ sdb = \"simpledb\", front = \"gate 127.0.0.1:{gate} @sdb 20\" }}\n",
        main.parent().expect("a folder").display()
    );
    let config = folder.write("config", text);
    let checked = skyring(["check".as_ref(), config.as_os_str()])
        .env("WATCH_TOKEN", "0123456789abcdef")
        .output()
        .expect("the command starts");
    let (code, shown, _) = outcome(&checked);
    assert_eq!(code, Some(0));
    assert!(
        shown.contains(&format!("http://127.0.0.1:{port}, for those who have the token")),
        "{shown}"
    );
    assert!(!shown.contains("0123456789abcdef"));
    let mut command = skyring(["run".as_ref(), config.as_os_str()]);
    command.env("WATCH_TOKEN", "0123456789abcdef");
    let mut node = Running::start(&mut command);
    wait_until("the node is ready", || http_status(port, "/readyz") == 200);
    assert_eq!(http_status(port, "/api/status"), 401);
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    let status = || -> NodeStatus {
        let (code, body) = get(port, "/api/status", token);
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("a status")
    };
    wait_until("the service in Lua runs", || {
        status()
            .service_sums
            .iter()
            .any(|sum| sum.label == "agent" && sum.memory_bytes > 10_000)
    });
    let _client = TcpStream::connect(("127.0.0.1", gate)).expect("a client");
    let measure = |name: &str| {
        let measures = status().measures;
        let found = measures
            .iter()
            .find(|measure| measure.name == name && measure.service == "front");
        found.map(|measure| measure.value)
    };
    wait_until("the gate has its client", || measure("gate_clients") == Some(1));
    assert_eq!(
        (measure("gate_clients_max"), measure("gate_accepted")),
        (Some(20), Some(1))
    );
    let metrics = get(port, "/metrics", token).1;
    for line in [
        "skyring_ready 1",
        "skyring_gate_clients{service=\"front\"} 1",
        "skyring_service_instances{service=\"sdb\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in {metrics}"
        );
    }
    let (code, graph) = get(port, "/api/profile?seconds=1", token);
    match code {
        200 => assert!(graph.contains("<svg"), "{}", &graph[..graph.len().min(200)]),
        _ => eprintln!("skipped: no profile here: {graph}"),
    }
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
    assert!(!node.written().contains("0123456789abcdef"));
}

#[test]
fn mistakes_in_the_keys_of_admin_are_errors_of_one_line_that_show_no_token() {
    let folder = Folder::new();
    let token_file = folder.write("token", "0123456789abcdef\n");
    fs::set_permissions(&token_file, fs::Permissions::from_mode(0o644)).expect("a mode");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken_config = taken_line(&taken);
    let open_file = format!(
        "thread=1 admin='127.0.0.1:1' admin_token_file='{}'",
        token_file.display()
    );
    for (text, part) in [
        ("thread=1 admin='0.0.0.0:8100'", "admin_token must be set"),
        ("thread=1 admin='example.com:8100'", "is no IP address"),
        ("thread=1 admin='127.0.0.1'", "IP:PORT"),
        ("thread=1 admin=8100", "admin"),
        (
            "thread=1 admin='127.0.0.1:1' admin_token='tooshort'",
            "16 to 1024",
        ),
        (
            "thread=1 admin='127.0.0.1:1' admin_token='has a blank inside'",
            "without spaces",
        ),
        (
            "thread=1 admin='127.0.0.1:1' admin_token=1234567890123456",
            "in quotes",
        ),
        (
            "thread=1 admin_token='0123456789abcdef'",
            "has no effect without admin",
        ),
        (
            "thread=1 admin='127.0.0.1:1' admin_tokn='0123456789abcdef'",
            "is it meant to be admin_token?",
        ),
        (&open_file, "chmod 600"),
        (&taken_config, "cannot listen on"),
    ] {
        let config = folder.write("config", text);
        assert_refused("run", &config, &[part]);
        let (_, shown, error) = outcome(&output(["run".as_ref(), config.as_os_str()]));
        assert!(!format!("{shown}{error}").contains("0123456789abcdef"), "{error}");
    }
}

/// A config whose admin address somebody else has.
fn taken_line(taken: &std::net::TcpListener) -> String {
    // It stays open until the test ends.
    let address = taken.local_addr().expect("it is bound");
    format!("thread=1 admin='{address}'")
}
