//! The log lines of a node go to a file with times, or to a service of the user, and SIGHUP reaches both.

use std::fs;
use std::path::Path;

use crate::common::{Folder, Running, assert_refused, free_port, skyring, wait_until};

/// A log service in the form of Skynet's example.
const USERLOG: &str = "
local skynet = require 'skynet'
io.stdout:setvbuf 'line' -- the log's own lines come between
skynet.register_protocol {
    name = 'text', id = skynet.PTYPE_TEXT, unpack = skynet.tostring,
    dispatch = function(_, address, text)
        print(('LINE :%08x %s'):format(address, text))
        if text == 'fail' then error 'failed' end
        if text == 'end' then skynet.exit() end
    end,
}
skynet.register_protocol {
    name = 'system', id = skynet.PTYPE_SYSTEM, unpack = function(...) return ... end,
    dispatch = function() print 'REOPEN' end,
}
local first, second = ...
skynet.start(function() skynet.error('own line', first, second) end)";

/// A first service that logs what the config says.
const MAIN: &str = "
local skynet = require 'skynet'
skynet.start(function()
    for text in skynet.getenv 'texts':gmatch '%a+' do skynet.error(text) end
    skynet.error(skynet.localname '.logger', skynet.self())
    for n = 1, 1000 do
        skynet.sleep(5)
        if not skynet.localname '.logger' then skynet.error 'nobody' end
    end
end)";

fn folder(config: &str) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("service")).expect("a folder is made");
    folder.write("service/userlog.lua", USERLOG);
    folder.write("service/main.lua", MAIN);
    folder.write("config", format!("thread = 2 start = 'main' {config}"));
    folder
}

fn node(folder: &Folder, ready: &str) -> Running {
    let mut command = skyring([Path::new("./config")]);
    Running::ready(command.current_dir(folder.path("")), ready)
}

#[test]
fn a_service_of_the_user_gets_all_lines_but_its_own_and_the_signal() {
    let folder =
        folder("logservice = 'snlua' logger = 'userlog a b' texts = 'one fail two' call_timeout = 1");
    let mut node = node(&folder, "LINE :00000008 1 8\n");
    let log = node.written();
    // From the first line on, which is before any service: the notices of the config.
    assert!(
        log.contains("LINE :00000000 \"call_timeout\" is no key of a node"),
        "{log}"
    );
    assert!(log.contains("LINE :00000002 LAUNCH snlua bootstrap\n"), "{log}");
    let own: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("LINE :00000008 "))
        .collect();
    let texts: Vec<&str> = own
        .iter()
        .copied()
        .filter(|text| ["one", "fail", "two"].contains(text))
        .collect();
    assert_eq!(texts, ["one", "fail", "two"], "{log}");
    // Its own lines, of which an error would make one more for each, go to the standard output.
    assert!(log.contains("[:00000001] own line"), "{log}");
    node.wait_for("[:00000001] lua call [8 to :1 : 0 msgsz = 4] error");
    node.signal("HUP");
    node.wait_for("REOPEN\n");
    node.signal("TERM");
    assert!(node.wait_for_end().success());
}

#[test]
fn when_the_service_has_ended_the_lines_go_to_the_standard_output() {
    let folder = folder("logservice = 'snlua' logger = 'userlog' texts = 'one end two'");
    let mut node = node(&folder, "[:00000000] the log service :00000001 has ended");
    node.wait_for("[:00000008] nobody\n");
    assert!(
        node.written().contains("LINE :00000008 one\n"),
        "{}",
        node.written()
    );
}

#[test]
fn a_file_has_skynets_times_by_default_and_is_opened_again() {
    let folder = folder("logger = './node.log' texts = 'one'");
    let mut node = Running::start(skyring([Path::new("./config")]).current_dir(folder.path("")));
    let log = || fs::read_to_string(folder.path("node.log")).unwrap_or_default();
    wait_until("the line is written", || log().contains("] one\n"));
    for line in log().lines() {
        let (time, _) = line.split_once(" [:").expect("a time in front of the handle");
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "00/00/00 00:00:00.00", "{line}");
    }
    fs::rename(folder.path("node.log"), folder.path("old.log")).expect("a log that exists");
    node.signal("HUP");
    wait_until("the log is opened again", || folder.path("node.log").exists());
    assert!(node.is_running());
}

#[test]
fn a_hangup_does_not_end_a_node_that_logs_to_the_standard_output() {
    let folder = folder("texts = 'one'");
    let mut node = node(&folder, "[:00000008] one\n");
    node.signal("HUP");
    node.signal("TERM");
    assert!(node.wait_for_end().success());
}

/// The lines that a node has written when it has stopped; it called a node that refuses connections.
fn lines_of(settings: &str) -> Vec<String> {
    let folder = Folder::new();
    fs::create_dir(folder.path("service")).expect("a folder is made");
    let (own, other) = (free_port(), free_port());
    let map = format!("gate = '127.0.0.1:{own}' db = '127.0.0.1:{other}'");
    folder.write("map", map);
    let main = "
local skynet = require 'skynet'
local cluster = require 'skynet.cluster'
skynet.start(function()
    skynet.error 'a \"line\"'
    pcall(cluster.call, 'db', '@sdb', 1)
    skynet.error 'done'
end)";
    folder.write("service/main.lua", main);
    let config = format!(
        "thread = 1 cluster = 'map' open = 'gate' start = 'main' down_after_ms = 300 logger = 'log' {settings}"
    );
    folder.write("config", config);
    let mut command = skyring([Path::new("./config")]);
    let mut node = Running::start(command.current_dir(folder.path("")));
    let log = folder.path("log");
    let text = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("the node is down", || {
        text().contains("db is down") || text().contains("done")
    });
    node.signal("TERM");
    assert!(node.wait_for_end().success());
    text().lines().map(str::to_owned).collect()
}

#[test]
fn lines_have_the_form_and_the_levels_that_the_config_says() {
    let lines = lines_of("log_format = 'json' log_levels = { cluster = 'debug' }");
    let mut debugged = 0;
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        let text = |key: &str| line[key].as_str().expect("a text").to_owned();
        assert!(
            text("time").ends_with('Z') && text("service").starts_with(':'),
            "{line}"
        );
        debugged += usize::from(text("level") == "debug" && text("source") == "cluster");
        match text("text") {
            text if text.contains("db is down") => assert_eq!(line["level"], "warning"),
            text if text == "a \"line\"" => assert_eq!(line["source"], "service"),
            _ => {}
        }
    }
    assert!(debugged > 0, "{lines:?}");
    let lines = lines_of("log_format = 'time' log_levels = { service = 'error' }");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("Z warning cluster [:00000000] cluster node db is down")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("] a \"line\"")),
        "{lines:?}"
    );
    let lines = lines_of("log_levels = { cluster = 'off', node = 'off' }");
    assert!(
        lines.iter().all(|line| !line.contains("cluster node")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.ends_with("] done")), "{lines:?}");
}

#[test]
fn a_form_or_a_level_that_there_is_not_is_an_error_that_says_what_there_is() {
    let folder = Folder::new();
    for (settings, part) in [
        ("log_format = 'xml'", "\"skynet\", \"time\" or \"json\""),
        ("log_format = 'json' log_time = 'utc'", "whose times are UTC"),
        ("log_format = 'time' log_time = 'none'", "contradicts"),
        (
            "log_format = 'json' logservice = 'snlua' logger = 'userlog'",
            "has no effect with a log service",
        ),
        ("log_levels = 'debug'", "a level for each source"),
        ("log_levels = { clutser = 'debug' }", "cluster, discovery, node"),
        ("log_levels = { cluster = 'verbose' }", "\"debug\""),
        ("log_levels = { cluster = 3 }", "log_levels.cluster"),
    ] {
        let config = folder.write("config", format!("thread = 1 {settings}"));
        assert_refused("check", &config, &[part]);
    }
}
