//! `run` and `check` report an invalid config in one line with file and key, exit code 2.

use std::net::TcpListener;

use crate::common::{Folder, assert_one_line, assert_refused, output};

const MAP: &str = "db = '127.0.0.1:1'\ngate = '127.0.0.1:2'\nold = false\n";

/// Asserts that `run` and `check` refuse a config beside a map.
#[track_caller]
fn assert_invalid(config: &str, parts: &[&str]) {
    let folder = Folder::new();
    folder.write("map.lua", MAP);
    let config = folder.write("config", config);
    let parts = [&["/config"], parts].concat();
    for command in ["run", "check"] {
        let output = assert_refused(command, &config, &parts);
        assert_eq!(output, "", "the node was started");
    }
}

#[test]
fn open_of_an_unknown_node() {
    assert_invalid(
        "cluster = 'map.lua' open = 'dbx'",
        &["config: open: ", "\"dbx\"", "db, gate, old"],
    );
    assert_invalid(
        "cluster = 'map.lua' open = 'old'",
        &["config: open: ", "disabled (false)"],
    );
    assert_invalid("open = 'db'", &["config: open: needs a cluster map"]);
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_invalid("thread = 'many'", &["config: thread: expected a whole number"]);
    assert_invalid("thread = 0", &["config: thread: expected"]);
    assert_invalid("services = 'simpledb'", &["config: services: expected"]);
    assert_invalid("services = { sdb = 1 }", &["config: services.sdb: expected"]);
    assert_invalid("open = {}", &["config: open: expected text"]);
    assert_invalid("call_timeout_ms = -1", &["config: call_timeout_ms: expected"]);
}

#[test]
fn invalid_lua() {
    assert_invalid("thread = 1\nopen = = 'db'", &["config:2: ", "syntax error"]);
    assert_invalid("while true do end", &["too many steps"]);
    assert_invalid("os.exit(0)", &["config:1: "]);
    assert_invalid(
        "thread = $SKYRING_TEST_UNSET",
        &["config:1: ", "$SKYRING_TEST_UNSET is not set"],
    );
}

#[test]
#[cfg(not(feature = "otlp"))]
fn a_collector_of_spans_in_a_build_that_cannot_export_names_the_feature() {
    assert_invalid(
        "otlp = 'http://127.0.0.1:4318'",
        &["config: otlp: ", "cargo build --release --features otlp"],
    );
}

#[test]
#[cfg(feature = "otlp")]
fn a_collector_of_spans_that_cannot_be_one() {
    assert_invalid(
        "otlp = 'https://127.0.0.1:4318'",
        &["config: otlp: ", "without TLS"],
    );
    assert_invalid(
        "thread = 1 otlp = '127.0.0.1:4318'",
        &["config: otlp: expected \"http://HOST:PORT\""],
    );
}

#[test]
fn a_setting_that_is_not_supported() {
    assert_invalid(
        "harbor = 1",
        &[
            "config: harbor: without standalone it needs other harbors",
            "harbor = 0",
        ],
    );
    assert_invalid("daemon = 1", &["config: daemon: expected text"]);
}

#[test]
fn an_unknown_service_kind() {
    let known = "this program has debug_console, echo, gate, harbor, monitor, simpledb, snlua";
    assert_invalid(
        "services = { sdb = 'simpledbx' }",
        &[
            "config: services.sdb: there is no service kind \"simpledbx\"",
            known,
        ],
    );
    assert_invalid(
        "thread = 8 harbor = 0 start = 'main' bootstrap = 'snlua bootstrap' lualoader = './lualib/loader.lua'",
        &[
            "config: start: there is no service kind \"main\"",
            known,
            "as a service in Lua there is no ./service/main.lua",
        ],
    );
}

#[test]
fn a_service_in_c_is_refused_and_a_log_service_without_a_file() {
    assert_invalid(
        "logservice = 'syslog' logger = 'game' cpath = './cservice/?.so'",
        &[
            "config: logservice: there is no service kind \"syslog\"",
            "services in C (cpath) are no part of this engine",
            "logger = \"FILE\"",
        ],
    );
    assert_invalid(
        "logservice = 'snlua' logger = 'userlog a b'",
        &[
            "config: logger: with logservice = \"snlua\"",
            "there is no ./service/userlog.lua",
        ],
    );
    assert_invalid(
        "bootstrap = 'boot a'",
        &[
            "config: bootstrap: there is no service kind \"boot\"",
            "services in C (cpath)",
        ],
    );
}

#[test]
fn a_missing_map_and_an_invalid_map() {
    assert_invalid(
        "thread = 1\ncluster = 'nowhere.lua'",
        &["config: cluster: no such file: \"nowhere.lua\""],
    );
    let folder = Folder::new();
    folder.write("map.lua", "db = 7102");
    let config = folder.write("config", "cluster = 'map.lua'");
    for command in ["run", "check"] {
        assert_refused(
            command,
            &config,
            &["map.lua: db: expected \"host:port\" or false"],
        );
    }
}

#[test]
fn a_missing_file_and_a_folder() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let folder_path = folder.path("");
    for (path, part) in [
        (&missing, "missing: no such file"),
        (&folder_path, "not a regular file"),
    ] {
        for arguments in [&["run"][..], &["check"], &[]] {
            let arguments = arguments.iter().map(AsRef::as_ref).chain([path.as_os_str()]);
            assert_one_line(&output(arguments), 2, part);
        }
    }
    // Without a `/` it could be a command.
    assert_one_line(
        &output(["chek"]),
        2,
        "chek: no such file, and no such command: the commands are run, call, cert, check",
    );
}

#[test]
fn a_map_instead_of_a_config() {
    let folder = Folder::new();
    let map = folder.write("map.lua", MAP);
    assert_refused(
        "run",
        &map,
        &["map.lua: this is a cluster map, not a node config"],
    );
}

// Only `run` finds the following: `check` opens no ports and no files.

#[test]
fn a_busy_port() {
    let busy = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = busy.local_addr().expect("it has an address");
    let folder = Folder::new();
    folder.write("map.lua", format!("db = '{address}'"));
    let config = folder.write(
        "config",
        "cluster = 'map.lua' open = 'db' services = { sdb = 'simpledb' }",
    );
    let cause = format!("cannot listen on {address}: the port is in use");
    assert_refused("run", &config, &["/config: open: ", &cause]);
}

#[test]
fn an_address_of_another_machine() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '203.0.113.7:7102'");
    let config = folder.write("config", "cluster = 'map.lua' open = 'db'");
    assert_refused("run", &config, &["/config: open: ", "no such address"]);
}

#[test]
fn arguments_that_a_service_does_not_accept() {
    let loud = "echo takes no arguments, and got \"loudly\"";
    assert_invalid(
        "services = { e = 'echo loudly' }",
        &["config: services.e: ", loud],
    );
    assert_invalid(
        "services = { e = 'keyed echo loudly' }",
        &["config: services.e: ", loud],
    );
    assert_invalid(
        "services = { front = 'gate 0.0.0.0:8888 .game 20 colour=red' }",
        &["config: services.front: ", "colour"],
    );
    assert_invalid(
        "services = { front = 'gate 0.0.0.0 .game' }",
        &["config: services.front: ", "\"0.0.0.0\" has no port"],
    );
}

#[test]
fn a_log_file_that_cannot_be_written() {
    let folder = Folder::new();
    let log = folder.path("nowhere/log");
    let config = folder.write("config", format!("logger = '{}'", log.display()));
    let cause = "nowhere/log: No such file or directory";
    assert_refused("run", &config, &["/config: logger: cannot log to ", cause]);
}
