//! Snax services: functions called by name, hot fixes, and services of other nodes.

use crate::node::{folder, start_in};
use crate::support::free_port;

const PING: &str = r#"
local skynet = require 'skynet'
local snax = require 'skynet.snax'
local count = 0
local greeting = 'hello'
local function add(n) count = count + n return count end
function response.ping(text) return greeting .. ' ' .. text end
function response.count() return count end
function response.fail() error 'on purpose' end
function accept.add(n) add(n) end
function accept.leave() snax.exit('left') end
function response.own() return snax.self().handle == skynet.self() and SERVICE_NAME end
function init(name, first) greeting = name or greeting count = first or 0 snax.enablecluster() end
function exit(why) skynet.error('EXIT', why) end
"#;

/// Runs a program in Lua with a snax service `ping`.
fn run(program: &str) -> crate::node::Running {
    let main = format!(
        "local skynet = require 'skynet'\nlocal snax = require 'skynet.snax'\n\
         skynet.start(function()\n{program}\nskynet.error 'ALL DONE'\nend)"
    );
    let fails = "function init() nobody() end";
    let folder = folder(&[("main.lua", &main), ("ping.lua", PING), ("fails.lua", fails)]);
    let snax = format!("snax = '{}/?.lua'", folder.path().display());
    let running = start_in(folder, &snax);
    running.await_done();
    running
}

#[test]
fn functions_are_called_by_name_and_unknown_ones_are_errors() {
    let running = run(r#"
        local ping = snax.newservice('ping', 'hi', 5)
        assert(ping.req.ping 'you' == 'hi you')
        assert(ping.post.add(2) == nil)
        assert(ping.req.count() == 7)
        assert(ping.req.own() == 'ping')
        assert(tostring(ping) == ('[ping:%x]'):format(ping.handle))
        local ok, problem = pcall(function() return ping.req.nothing end)
        assert(not ok and problem:find 'request ping:nothing no exist')
        ok, problem = pcall(function() return ping.post.ping end)
        assert(not ok and problem:find 'post ping:ping no exist')
        ok, problem = pcall(ping.req.fail)
        assert(not ok and problem:find 'on purpose')
        ok, problem = pcall(skynet.call, ping.handle, 'snax', 999)
        assert(not ok and problem:find 'the snax service ping has no function 999')
        assert(pcall(snax.bind, ping.handle, 'pong') == false)
        assert(snax.bind(ping.handle, 'ping') == ping)
        local info = snax.profile_info(ping)
        assert(info.ping.count == 1 and info.add.count == 1 and info.fail.count == 1)
        assert(skynet.call(ping.handle, 'debug', 'INFO').ping.count == 1)
        snax.printf('%d is formatted', 1)
        snax.kill(ping, 'killed')
        assert(not pcall(ping.req.ping, 'you'))
        snax.newservice('ping').post.leave()
    "#);
    running.await_log("1 is formatted");
    running.await_log("EXIT killed");
    running.await_log("EXIT left");
}

#[test]
fn a_unique_service_is_one_and_is_found() {
    run(r#"
        local one = snax.uniqueservice('ping', 'first')
        assert(snax.uniqueservice('ping', 'second').handle == one.handle)
        assert(snax.queryservice 'ping' == one)
        local global = snax.globalservice('ping', 'third')
        assert(snax.queryglobal('ping').handle == global.handle)
        assert(one.req.ping 'you' == 'first you')
    "#);
}

#[test]
fn a_hot_fix_replaces_functions_that_share_the_variables_of_the_service() {
    run(r#"
        local ping = snax.newservice('ping', 'hi', 1)
        local before = snax.hotfix(ping, [[
            local count
            local greeting
            local add
            function response.ping(text) add(10) return greeting .. ', ' .. text .. '!' end
            function hotfix(n) local old = count count = n return old end
        ]], 100)
        assert(before == 1)
        assert(ping.req.ping 'you' == 'hi, you!')
        assert(ping.req.count() == 110)
        ping.post.add(1)
        assert(ping.req.count() == 111)
        for _, bad in ipairs { 'this is no lua', 'function response.nothing() end', 'error "on purpose"',
            'function accept.add() end function response.nothing() end', 'response.x = 1', 'hotfix = 1' } do
            assert(not pcall(snax.hotfix, ping, bad), bad)
        end
        ping.post.add(1)
        assert(ping.req.count() == 112)
    "#);
}

#[test]
fn a_file_that_is_no_snax_service_is_an_error_that_names_its_cause() {
    let program = r#"
        for _, case in ipairs {
            { 'absent', 'absent.lua' }, { 'twice', 'response.f is defined twice' },
            { 'number', 'accept.x must be a function' }, { 'broken', "global 'nothing'" }, { 'exits', 'exit must be a function' },
        } do
            local ok, problem = pcall(snax.newservice, case[1])
            assert(not ok and problem:find(case[2], 1, true), problem)
        end
    "#;
    let main = format!(
        "local skynet = require 'skynet'\nlocal snax = require 'skynet.snax'\n\
         skynet.start(function()\n{program}\nskynet.error 'ALL DONE'\nend)"
    );
    let folder = folder(&[
        ("main.lua", &main),
        ("twice.lua", "function response.f() end function response.f() end"),
        ("number.lua", "accept.x = 1"),
        ("broken.lua", "nothing()"),
        ("exits.lua", "exit = 1"),
    ]);
    let snax = format!("snax = '{}/?.lua'", folder.path().display());
    start_in(folder, &snax).await_done();
}

#[test]
fn a_snax_service_of_another_node_is_called_by_name() {
    let port = free_port();
    let map = format!("return {{ db = '127.0.0.1:{port}', __nowaiting = true }}");
    let server = r#"
        local skynet = require 'skynet'
        local snax = require 'skynet.snax'
        local cluster = require 'skynet.cluster'
        skynet.start(function()
            snax.uniqueservice('ping', 'remote')
            cluster.open 'db'
            skynet.error 'ALL DONE'
        end)"#;
    let client = r#"
        local skynet = require 'skynet'
        local cluster = require 'skynet.cluster'
        skynet.start(function()
            local ping = cluster.snax('db', 'ping')
            assert(ping.req.ping 'you' == 'remote you')
            ping.post.add(3)
            assert(ping.req.count() == 3)
            skynet.error 'ALL DONE'
        end)"#;
    let start = |main: &str| {
        let folder = folder(&[("main.lua", main), ("ping.lua", PING), ("map.lua", map.as_str())]);
        let lines = format!("cluster = 'map.lua'\nsnax = '{}/?.lua'", folder.path().display());
        let running = start_in(folder, &lines);
        running.await_done();
        running
    };
    let _server = start(server);
    start(client);
}

#[test]
fn a_service_whose_init_fails_ends_and_wrong_arguments_are_named() {
    run("local function refused(part, f, ...)
            local ok, problem = pcall(f, ...)
            assert(not ok and tostring(problem):find(part, 1, true), problem)
        end
        local function services()
            local count = 0
            for _ in pairs(skynet.call('.launcher', 'lua', 'LIST')) do count = count + 1 end
            return count
        end
        local before = services()
        refused('attempt to call', snax.newservice, 'fails')
        refused('attempt to call', snax.rawnewservice, 'fails')
        assert(services() == before)
        refused('the name of a snax service is a string, not a nil', snax.newservice)
        refused('the name of a snax service is a string, not a number', snax.interface, 5)
        local ping = snax.newservice 'ping'
        refused('the source of a hot fix is a text, not a nil', snax.hotfix, ping)
        assert(ping.req.ping 'you' == 'hello you')");
}
