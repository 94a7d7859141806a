//! Services in Lua: packing and unpacking from Lua, a call on the same shard, and a call between two nodes.
//!
//! `cargo bench -p skyring-bench --bench lua`. A service in Lua repeats what is measured, and tells how long that
//! took by its own clock.

use std::fs;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use skyring::config::NodeConfig;
use skyring::log::Destination;
use skyring::{Kinds, Node, NodeBuilder};
use tempfile::TempDir;

/// What is measured, each by its name; `measure(count)` gives nanoseconds.
const MAIN: &str = r#"
local skynet = require "skynet.manager"
local cluster = require "skynet.cluster"

local value = ("v"):rep(64)
local measure = {}

function measure.pack(count)
	local pack, trash = skynet.pack, skynet.trash
	for i = 1, count do
		trash(pack("GET", value, i, { 1, 2, name = "x" }))
	end
end

function measure.unpack(count)
	local packed, unpack = skynet.packstring("GET", value, 4711, { 1, 2, name = "x" }), skynet.unpack
	for _ = 1, count do
		unpack(packed)
	end
end

local echo
function measure.call(count)
	echo = echo or skynet.newservice "echo"
	for _ = 1, count do
		skynet.call(echo, "lua", value)
	end
end

-- Calls to the other node, 64 at a time over one channel.
function measure.cluster(count)
	local left, alive, co = count, 64, coroutine.running()
	for _ = 1, alive do
		skynet.fork(function()
			while left > 0 do
				left = left - 1
				cluster.call("other", "@echo", value)
			end
			alive = alive - 1
			if alive == 0 then
				skynet.wakeup(co)
			end
		end)
	end
	skynet.wait(co)
end

skynet.start(function()
	skynet.register ".main"
	skynet.dispatch("lua", function(_, _, name, count)
		local started = skynet.hpc()
		measure[name](count)
		skynet.retpack(skynet.hpc() - started)
	end)
	if skynet.getenv "listens" then
		cluster.register("echo", skynet.newservice "echo")
		cluster.open "other"
	end
end)
"#;

const ECHO: &str = r#"
local skynet = require "skynet"
skynet.start(function()
	skynet.dispatch("lua", function(session, _, ...)
		skynet.retpack(...)
	end)
end)
"#;

/// A node of one shard on a processor of its own, with the services above.
fn node(folder: &Path, cpu: usize, further: &str) -> Node {
    let at = folder.display();
    let config = format!(
        "thread = 1\nluaservice = '{at}/?.lua'\nstart = 'main'\ncluster = '{at}/map.lua'\n{further}\n"
    );
    let file = folder.join(format!("config{cpu}"));
    fs::write(&file, config).expect("the config is written");
    let (config, map) = NodeConfig::load_with_map(&file).expect("the config is right");
    let bootstrap = config.bootstrap.clone();
    NodeBuilder::from_config(config, map)
        .kinds(skyring_lua::add_kinds(Kinds::default()))
        .first_service(&bootstrap)
        .first_cpu(cpu)
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("the node starts")
}

/// Has the service measure.
fn measured(node: &Node, name: &'static str, count: u64) -> Duration {
    let answer = node.block_on(move |caller| async move {
        // Its first service may not have its name yet.
        while caller.find(".main").is_none() {
            caller.sleep(Duration::from_millis(1)).await;
        }
        caller.call(".main", &(name, count as i64)).await?.unpack::<i64>()
    });
    let nanoseconds = answer.expect("the node runs").expect("the service answers");
    Duration::from_nanos(nanoseconds as u64)
}

fn lua(criterion: &mut Criterion) {
    let folder = TempDir::new().expect("a folder");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let port = port.expect("a free port").port();
    for (name, text) in [
        ("main.lua", MAIN),
        ("echo.lua", ECHO),
        ("map.lua", &format!("other = '127.0.0.1:{port}'")),
    ] {
        fs::write(folder.path().join(name), text).expect("a file is written");
    }
    let other = node(folder.path(), 0, "listens = 'yes'");
    let own = node(folder.path(), 1, "");
    for (what, name) in [
        ("lua: pack (\"GET\", 64 bytes, number, table)", "pack"),
        ("lua: unpack the same", "unpack"),
        ("lua: skynet.call on the same shard", "call"),
        ("lua: cluster.call, 64 at a time", "cluster"),
    ] {
        criterion.bench_function(what, |bench| {
            bench.iter_custom(|count| measured(&own, name, count));
        });
    }
    drop(other);
}

criterion_group!(benches, lua);
criterion_main!(benches);
