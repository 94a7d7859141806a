//! How the library in Lua is loaded.

use crate::support::{run, start};

#[test]
fn a_library_is_loaded_when_it_is_first_used() {
    let main = "local cluster = require 'skynet.cluster'
        assert(next(cluster) == nil and require 'skynet.cluster' == cluster)
        local names = 0
        for name, value in pairs(cluster) do names = names + 1 end
        assert(names > 10 and type(cluster.call) == 'function' and next(cluster))
        local socket = require 'skynet.socket'
        socket.own = 1
        assert(socket.own == 1 and type(socket.open) == 'function')
        skynet.stat = 'mine'
        assert(skynet.no_such_function == nil and skynet.mqlen() == 0 and skynet.stat == 'mine')
        assert(math.abs(skynet.time() - os.time()) < 100 and skynet.starttime() <= os.time())
        assert(skynet.address(255) == ':000000ff' and skynet.address '.name' == '.name')
        assert(skynet.localname '.nobody' == nil and not pcall(skynet.getenv))";
    run(main, &[]);
}

#[test]
fn a_function_that_only_the_users_copy_of_a_module_has_is_told_with_the_way_out() {
    let main = "local skynet = require 'skynet'
        local socket = require 'skynet.socket'
        skynet.start(function()
            assert(skynet.feature_of_nobody == nil and skynet.called_only == nil)
            assert(socket.feature_of_a_fork == nil and socket.feature_of_a_fork == nil)
            skynet.fork(function() skynet.get_lua_trace() end)
        end)";
    let skynet = "local skynet = {}
        function skynet.get_lua_trace() end
        local traced = skynet.called_only()
        return skynet";
    let socket = "return {\n feature_of_a_fork = 1,\n}";
    let files = [
        ("main.lua", main),
        ("skynet.lua", skynet),
        ("skynet/socket.lua", socket),
    ];
    let running = start(&files, "");
    let log = running.await_log("get_lua_trace')");
    let hints: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("builtin_lualib = false"))
        .collect();
    assert_eq!(hints.len(), 2, "{log}");
    assert!(
        hints[0].contains("the built-in skynet.socket has no feature_of_a_fork, and ")
            && hints[1].contains("the built-in skynet has no get_lua_trace, and ")
            && hints[1].contains("/skynet.lua has it"),
        "{log}"
    );
}
