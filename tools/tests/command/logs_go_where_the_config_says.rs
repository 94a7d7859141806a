//! The log lines of a node go to a file with times, or to a service of the user, and SIGHUP reaches both.

use std::fs;
use std::path::Path;

use crate::common::{Folder, Running, skyring, wait_until};

/// A log service in the form of Skynet's example.
const USERLOG: &str = "
local skynet = require 'skynet'
io.stdout:setvbuf 'no'
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
    assert!(log.contains("LINE :00000008 one\nLINE :00000008 fail\n"), "{log}");
    assert!(log.contains("LINE :00000008 two\n"), "{log}");
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
    let node = node(&folder, "[:00000000] the log service :00000001 has ended");
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
