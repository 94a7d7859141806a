-- The module `skynet.cluster`: calls between nodes, by the engine.
--
-- Beyond Skynet's functions there are those with a key and a deadline: messages of one key keep their order and
-- use one channel, whoever sends them.
local skynet = require "skynet"
local core = require "skynet.cluster.core"
local await = require("skyring.host").await

local core_call, core_send = core.call, core.send

local cluster = {}

local clusterd

-- Raises the error of a call: its text names the cause, as `Error` of the engine does.
function cluster.call(node, address, ...)
	return core_call(nil, nil, node, address, ...)
end

function cluster.send(node, address, ...)
	return core_send(nil, nil, node, address, ...)
end

function cluster.callkey(key, node, address, ...)
	return core_call(key, nil, node, address, ...)
end

function cluster.sendkey(key, node, address, ...)
	return core_send(key, nil, node, address, ...)
end

-- The same with a time in seconds instead of the node's `call_timeout_ms`; 0: no limit.
function cluster.calltimeout(seconds, node, address, ...)
	return core_call(nil, seconds, node, address, ...)
end

function cluster.callkeytimeout(key, seconds, node, address, ...)
	return core_call(key, seconds, node, address, ...)
end

-- cluster.open(name or port [, most clients]), or with a table: { channel = 4, maxclient = 1024 }.
function cluster.open(port, options)
	return skynet.call(clusterd, "lua", "listen", port, options)
end

function cluster.reload(config)
	return skynet.call(clusterd, "lua", "reload", config)
end

function cluster.proxy(node, name)
	return await(core.proxy(node, name))
end

function cluster.query(node, name)
	return await(core.query(node, name))
end

function cluster.register(name, address)
	assert(type(name) == "string", "the name of a service is a text")
	assert(address == nil or type(address) == "number", "the address of a service is a number")
	return skynet.call(clusterd, "lua", "register", name, address)
end

function cluster.unregister(name)
	assert(type(name) == "string", "the name of a service is a text")
	return skynet.call(clusterd, "lua", "unregister", name)
end

-- What this node thinks of another: "unknown", "up", "suspect" or "down".
cluster.state = core.state

-- Calls f(change, cause, time) for each change of a node, the present state first: "up", "restarted", "suspect",
-- "down", "forgotten" or "switched". Gives a function that ends it.
function cluster.monitor(node, f)
	local monitor = core.monitor(node)
	local is_on = true
	skynet.fork(function()
		while is_on do
			local change, cause, time = await(core.next_event(monitor))
			if is_on then
				local ok, problem = xpcall(f, debug.traceback, change, cause, time)
				if not ok then
					skynet.error(problem)
				end
			end
		end
	end)
	return function()
		is_on = false
	end
end

function cluster.snax(node, name, address)
	local snax = require "skynet.snax"
	address = address or cluster.call(node, ".service", "QUERY", "snaxd", name)
	return snax.bind(cluster.proxy(node, address), name)
end

-- Skynet has a service for each node that is called; here the engine knows the way.
function cluster.get_sender(node)
	return cluster.proxy(node, ".service")
end

skynet.init(function()
	clusterd = skynet.uniqueservice "clusterd"
end)

return cluster
