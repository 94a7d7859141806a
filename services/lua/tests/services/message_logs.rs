//! `LOGON` writes the messages of one service to a file, in Skynet's form; messages that come early are kept.

use std::fs;

use crate::node::{folder, run_to_end, start_in};

const MAIN: &str = "
local skynet = require 'skynet'
require 'skynet.manager'
local core = require 'skynet.core'
skynet.start(function()
    local target = skynet.newservice 'target'
    core.command('LOGON', skynet.address(target))
    core.command('LOGON', skynet.address(target))
    skynet.send(target, 'lua', 'one')
    skynet.call(target, 'lua', 'two')
    core.command('LOGOFF', skynet.address(target))
    skynet.call(target, 'lua', 'three')
    core.command('LOGON', ':7fffff')
    core.command('LOGON', skynet.address(skynet.launch('echo')))
    core.command('LOGOFF', '.nobody')
    for n = 1, 20 do
        local early = skynet.call('.launcher', 'lua', 'LOGLAUNCH', 'snlua', 'target')
        assert(io.open(skynet.getenv 'logpath' .. skynet.address(early):gsub(':', '/') .. '.log'))
    end
    skynet.error 'ALL DONE'
end)";

const TARGET: &str = "
local skynet = require 'skynet'
skynet.start(function()
    skynet.dispatch('lua', function(session) skynet.sleep(1) if session ~= 0 then skynet.ret() end end)
end)";

#[test]
fn the_messages_of_a_service_are_in_its_file_between_logon_and_logoff() {
    let folder = folder(&[("main.lua", MAIN), ("target.lua", TARGET)]);
    let path = folder.path().to_owned();
    let running = start_in(folder, &format!("logpath = '{}'", path.display()));
    let log = running.await_done();
    let opened = log.lines().find_map(|line| line.split_once("Open log file "));
    let (_, file) = opened.expect("a line that names the file");
    let text = fs::read_to_string(file).expect("the file exists");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("open time: "), "{text}");
    assert!(lines[lines.len() - 1].starts_with("close time: "), "{text}");
    // "one" and "two" as Skynet packs them, and the timer of the sleep, an empty answer.
    assert!(
        lines[1].starts_with(":00000008 10 0 ") && lines[1].ends_with(" 1c6f6e65"),
        "{text}"
    );
    assert!(
        text.contains(" 1c74776f\n") && !text.contains("7468726565"),
        "{text}"
    );
    assert!(text.contains("\n:00000000 1 "), "{text}");
    assert_eq!(log.matches("Open log file ").count(), 21, "{log}");
    assert_eq!(log.matches("Close log file ").count(), 1, "{log}");
    assert_eq!(
        log.matches("are not logged: it is no service in Lua").count(),
        2,
        "{log}"
    );
    assert!(log.contains("LOGOFF: there is no service .nobody"), "{log}");
}

#[test]
fn without_a_folder_for_them_nothing_is_logged_and_a_line_says_so() {
    let main = "require('skynet.core').command('LOGON', skynet.address(skynet.self()))";
    let log = run_to_end(main, &[], "").log();
    assert!(log.contains("are not logged: the config has no logpath"), "{log}");
}

#[test]
fn messages_that_arrive_before_the_file_has_run_are_handled_after_it() {
    let main = "for n = 1, 20 do
            local target = skynet.launch('snlua', 'slow', n)
            skynet.send(target, 'lua', 'first')
            assert(skynet.call(target, 'lua', 'get') == 'first')
        end
        local missing = skynet.launch('snlua', 'missing')
        assert(not pcall(skynet.call, missing, 'lua'))";
    let slow = "local last
        skynet.dispatch('lua', function(session, _, what)
            if session == 0 then last = what else skynet.retpack(last) end
        end)
        skynet.start(function() end)";
    run_to_end(main, &[("slow", slow)], "");
}
