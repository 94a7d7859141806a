//! Services in Lua call services of other nodes, in Lua and in Rust; values arrive unchanged, and errors name their cause.

use crate::node::{Running, folder, start_in};
use crate::support::free_port;

const SERVER: &str = r#"
local skynet = require 'skynet'
local cluster = require 'skynet.cluster'
skynet.start(function()
    local sdb = skynet.newservice 'sdb'
    cluster.register('sdb', sdb)
    cluster.register('native', require('skynet.manager').launch 'echo')
    local address, port = cluster.open 'db'
    assert(address == '127.0.0.1' and math.type(port) == 'integer')
    skynet.error 'ALL DONE'
end)"#;

const SDB: &str = r#"
local skynet = require 'skynet'
local values = {}
local command = {}
function command.set(k, v) local before = values[k] values[k] = v return before end
function command.get(k) return values[k] end
function command.fail() error('on purpose', 0) end
function command.size(s) return #s end
function command.repeated(n) return ('r'):rep(n) end
function command.sleep() skynet.sleep(100000) end
skynet.start(function()
    skynet.dispatch('lua', function(session, source, name, ...)
        local f = command[name] or error('unknown command ' .. name, 0)
        local result = f(...)
        if session ~= 0 then skynet.retpack(result) end
    end)
end)"#;

/// Two nodes: `db`, and one that has it in its map and runs `client`.
fn two_nodes(client: &str) -> (Running, Running) {
    let port = free_port();
    let map = format!("return {{ db = '127.0.0.1:{port}', off = false, __nowaiting = true }}");
    let map = map.as_str();
    let server = folder(&[("main.lua", SERVER), ("sdb.lua", SDB), ("map.lua", map)]);
    let server = start_in(server, "cluster = 'map.lua'");
    server.await_done();
    let main = format!(
        "local skynet = require 'skynet'\nlocal cluster = require 'skynet.cluster'\n\
         skynet.start(function()\n{client}\nskynet.error 'ALL DONE'\nend)"
    );
    let client = start_in(
        folder(&[("main.lua", main.as_str()), ("map.lua", map)]),
        "cluster = 'map.lua'",
    );
    client.await_done();
    (server, client)
}

#[test]
fn values_cross_nodes_by_name_handle_and_proxy() {
    let (server, _client) = two_nodes(
        r#"
        assert(cluster.call('db', '@sdb', 'set', 'a', { 1, x = 'y' }) == nil)
        local a = cluster.call('db', '@sdb', 'get', 'a')
        assert(a[1] == 1 and a.x == 'y')
        cluster.send('db', '@sdb', 'set', 'b', 2)
        assert(cluster.call('db', '@sdb', 'get', 'b') == 2)
        local handle = cluster.query('db', 'sdb')
        assert(cluster.call('db', handle, 'get', 'b') == 2)
        local proxy = cluster.proxy('db', '@sdb')
        assert(proxy == cluster.proxy 'db@sdb')
        assert(skynet.call(proxy, 'lua', 'get', 'b') == 2)
        skynet.send(proxy, 'lua', 'set', 'b', 3)
        assert(skynet.call(proxy, 'lua', 'get', 'b') == 3)
        local x, y = cluster.call('db', '@native', 'echo', { 5 })
        assert(x == 'echo' and y[1] == 5)
        assert(cluster.callkey('some key', 'db', '@sdb', 'get', 'b') == 3)
        assert(cluster.callkey(7, 'db', '@sdb', 'get', 'b') == 3)
        cluster.sendkey(7, 'db', '@sdb', 'set', 'b', 4)
        assert(cluster.callkey(7, 'db', '@sdb', 'get', 'b') == 4)
        local large = ('l'):rep(10 * 1024 * 1024)
        assert(cluster.call('db', '@sdb', 'size', large) == #large)
        assert(#cluster.call('db', '@sdb', 'repeated', 1024 * 1024) == 1024 * 1024)
        "#,
    );
    assert!(server.log().contains("Register [sdb]"), "{}", server.log());
    assert!(server.log().contains("Listen on 127.0.0.1:"), "{}", server.log());
}

#[test]
fn a_monitor_reports_when_a_node_goes_down() {
    let (server, client) = two_nodes(
        r#"
        cluster.monitor('db', function(change, cause, time)
            assert(type(cause) == 'string' and time > 1e9)
            skynet.error('CHANGE', change, cluster.state 'db')
        end)
        assert(cluster.state 'nowhere' == 'unknown')
        while cluster.state 'db' ~= 'up' do skynet.sleep(1) end
        "#,
    );
    client.await_log("CHANGE up up");
    server.node.stop();
    client.await_log("CHANGE down down");
}

#[test]
fn an_error_between_nodes_names_its_cause() {
    two_nodes(
        r#"
        local function fails(part, f, ...)
            local ok, text = pcall(f, ...)
            assert(not ok and text:find(part, 1, true), tostring(text))
        end
        fails('on purpose', cluster.call, 'db', '@sdb', 'fail')
        fails('unknown command nosuch', cluster.call, 'db', '@sdb', 'nosuch')
        fails('no-such-service: @nobody', cluster.call, 'db', '@nobody', 'x')
        fails('absent: cluster node [nowhere] is absent', cluster.call, 'nowhere', '@sdb', 'x')
        fails('disabled', cluster.call, 'off', '@sdb', 'x')
        fails('timeout', cluster.calltimeout, 0.05, 'db', '@sdb', 'sleep')
        fails('timeout', cluster.callwith, { timeout = 0.05, key = 'k' }, 'db', '@sdb', 'sleep')
        fails('retries is no option of a call', cluster.callwith, { retries = 3 }, 'db', '@sdb', 'x')
        fails('when_down is "fail" or "wait"', cluster.callwith, { when_down = true }, 'db', '@sdb', 'x')
        fails('when_down is "fail" or "wait"', cluster.callwith, { when_down = 'no' }, 'db', '@sdb', 'x')
        assert(cluster.callwith({ when_down = 'wait', timeout = 20 }, 'db', '@sdb', 'size', 'four') == 4)
        fails('too-large', cluster.call, 'db', '@sdb', 'size', ('x'):rep(20 * 1024 * 1024))
        fails('cannot pack a userdata', cluster.call, 'db', '@sdb', 'set', 'a', io.stdout)
        local address = skynet.pack 'x'
        fails('cannot pack a light userdata', cluster.call, 'db', '@sdb', 'set', 'a', address)
        fails('no-such-service', cluster.query, 'db', 'nobody')
        fails('db2 is down', cluster.open, 'db2')
        fails('an address or false is expected', cluster.reload, { db = 7102 })
        fails('registered already', function()
            cluster.register('mine', skynet.self())
            cluster.register('mine', skynet.localname '.launcher')
        end)
        assert(cluster.call('db', '@sdb', 'size', 'fine') == 4)
        cluster.reload { db = false }
        fails('disabled', cluster.call, 'db', '@sdb', 'size', 'x')
        cluster.reload()
        assert(cluster.call('db', '@sdb', 'size', 'fine') == 4)
        "#,
    );
}
