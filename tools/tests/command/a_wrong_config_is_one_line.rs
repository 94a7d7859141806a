//! A config that cannot be run is told in one line with file and key, exit code 2, by `run` and by `check`.

use std::net::TcpListener;

use crate::common::{Folder, assert_one_line, output, told};

const MAP: &str = "db = '127.0.0.1:1'\ngate = '127.0.0.1:2'\nold = false\n";

/// Runs and checks a config beside a map; both must say one line with each of `parts`.
#[track_caller]
fn refused(config: &str, parts: &[&str]) {
    let folder = Folder::new();
    folder.write("map.lua", MAP);
    let config = folder.write("config", config);
    for verb in ["run", "check"] {
        let ended = output([verb.as_ref(), config.as_os_str()]);
        assert_one_line(&ended, 2, "/config");
        for part in parts {
            assert_one_line(&ended, 2, part);
        }
        assert_eq!(told(&ended).1, "", "nothing is started");
    }
}

#[test]
fn an_unknown_node_to_open() {
    refused(
        "cluster = 'map.lua' open = 'dbx'",
        &["config: open: ", "\"dbx\"", "db, gate, old"],
    );
    refused(
        "cluster = 'map.lua' open = 'old'",
        &["config: open: ", "disabled (false)"],
    );
    refused("open = 'db'", &["config: open: needs a cluster map"]);
}

#[test]
fn a_value_of_a_wrong_type() {
    refused("thread = 'many'", &["config: thread: expected a whole number"]);
    refused("thread = 0", &["config: thread: expected"]);
    refused("services = 'simpledb'", &["config: services: expected"]);
    refused("services = { sdb = 1 }", &["config: services.sdb: expected"]);
    refused("open = {}", &["config: open: expected text"]);
    refused("call_timeout_ms = -1", &["config: call_timeout_ms: expected"]);
}

#[test]
fn what_is_no_lua() {
    refused("thread = 1\nopen = = 'db'", &["config:2: ", "syntax error"]);
    refused("while true do end", &["too many steps"]);
    refused("os.exit(0)", &["config:1: "]);
    refused(
        "thread = $SKYRING_TEST_UNSET",
        &["config:1: ", "$SKYRING_TEST_UNSET is not set"],
    );
}

#[test]
fn what_is_not_supported() {
    refused("harbor = 1", &["config: harbor: expected 0"]);
    refused("daemon = './skynet.pid'", &["config: daemon: not supported"]);
}

#[test]
fn a_service_that_this_program_lacks() {
    let known = "this program has echo, gate, harbor, monitor, simpledb, snlua";
    refused(
        "services = { sdb = 'simpledbx' }",
        &[
            "config: services.sdb: there is no service kind \"simpledbx\"",
            known,
        ],
    );
    refused(
        "thread = 8 harbor = 0 start = 'main' bootstrap = 'snlua bootstrap' lualoader = './lualib/loader.lua'",
        &[
            "config: start: there is no service kind \"main\"",
            known,
            "as a service in Lua there is no ./service/main.lua",
        ],
    );
}

#[test]
fn a_missing_map_and_a_map_that_is_wrong() {
    refused(
        "thread = 1\ncluster = 'nowhere.lua'",
        &["config: cluster: no such file: \"nowhere.lua\""],
    );
    let folder = Folder::new();
    folder.write("map.lua", "db = 7102");
    let config = folder.write("config", "cluster = 'map.lua'");
    for verb in ["run", "check"] {
        let ended = output([verb.as_ref(), config.as_os_str()]);
        assert_one_line(&ended, 2, "map.lua: db: expected \"host:port\" or false");
    }
}

#[test]
fn a_file_that_is_missing_or_no_file() {
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
    // Without a folder in its name it could have been a subcommand.
    assert_one_line(
        &output(["chek"]),
        2,
        "chek: no such file, and no such command: there are run, call, check",
    );
}

#[test]
fn a_map_is_no_config_to_run() {
    let folder = Folder::new();
    let map = folder.write("map.lua", MAP);
    let ended = output(["run".as_ref(), map.as_os_str()]);
    assert_one_line(&ended, 2, "map.lua: this is a cluster map, not a node config");
}

// What only the start finds out: `check` opens no ports and no files.

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
    let ended = output(["run".as_ref(), config.as_os_str()]);
    assert_one_line(&ended, 2, "/config: open: ");
    assert_one_line(
        &ended,
        2,
        &format!("cannot listen on {address}: the port is in use"),
    );
}

#[test]
fn an_address_that_this_machine_lacks() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '203.0.113.7:7102'");
    let config = folder.write("config", "cluster = 'map.lua' open = 'db'");
    let ended = output(["run".as_ref(), config.as_os_str()]);
    assert_one_line(&ended, 2, "/config: open: ");
    assert_one_line(&ended, 2, "no such address");
}

#[test]
fn a_service_that_does_not_take_its_arguments() {
    let folder = Folder::new();
    let config = folder.write("config", "services = { e = 'echo loudly' }");
    let ended = output(["run".as_ref(), config.as_os_str()]);
    assert_one_line(&ended, 2, "/config: services.e: ");
    assert_one_line(&ended, 2, "echo takes no arguments, and got \"loudly\"");
}

#[test]
fn a_log_file_that_cannot_be_written() {
    let folder = Folder::new();
    let log = folder.path("nowhere/log");
    let config = folder.write("config", format!("logger = '{}'", log.display()));
    let ended = output(["run".as_ref(), config.as_os_str()]);
    assert_one_line(&ended, 2, "/config: logger: cannot log to ");
    assert_one_line(&ended, 2, "nowhere/log: No such file or directory");
}
