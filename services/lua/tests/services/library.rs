//! How the library in Lua is loaded.

use crate::support::run;

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
