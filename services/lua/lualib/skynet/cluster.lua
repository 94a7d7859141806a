-- The module `skynet.cluster`: calls between nodes, which the engine carries out.
--
-- Functions with a key or a timeout are added to Skynet's. Messages of one key keep their order and use one channel,
-- whichever service sends them.
local skynet = require "skynet"
local core = require "skynet.cluster.core"
local await = require("skyring.host").await

local core_call, core_send = core.call, core.send

local _, cluster = ...

local clusterd_address
local function clusterd()
	clusterd_address = clusterd_address or skynet.uniqueservice "clusterd"
	return clusterd_address
end

-- Raises the error of a call. Its text names the cause, as the engine's `Error` does.
function cluster.call(node, address, ...)
	return core_call(nil, nil, nil, node, address, ...)
end

function cluster.send(node, address, ...)
	return core_send(nil, nil, nil, node, address, ...)
end

function cluster.callkey(key, node, address, ...)
	return core_call(key, nil, nil, node, address, ...)
end

function cluster.sendkey(key, node, address, ...)
	return core_send(key, nil, nil, node, address, ...)
end

-- A call with a timeout in seconds instead of the node's `call_timeout_ms`; 0: no limit.
function cluster.calltimeout(seconds, node, address, ...)
	return core_call(nil, seconds, nil, node, address, ...)
end

function cluster.callkeytimeout(key, seconds, node, address, ...)
	return core_call(key, seconds, nil, node, address, ...)
end

local call_options = { key = true, timeout = true, when_down = true }

-- A call with a table of options, all of which may be left out: `key`, `timeout` in seconds, and `when_down`: whether the
-- call fails at once ("fail") or waits until its deadline ("wait") while the node is down, instead of what the map or the
-- config says.
function cluster.callwith(options, node, address, ...)
	for option in pairs(options) do
		if not call_options[option] then
			error(string.format("%s is no option of a call: they are key, timeout and when_down", tostring(option)), 2)
		end
	end
	return core_call(options.key, options.timeout, options.when_down, node, address, ...)
end

-- cluster.open(name or port [, maxclient]), or with a table of options: { channel = 4, maxclient = 1024 }.
function cluster.open(port, options)
	return skynet.call(clusterd(), "lua", "listen", port, options)
end

function cluster.reload(config)
	return skynet.call(clusterd(), "lua", "reload", config)
end

function cluster.proxy(node, name)
	return await(core.proxy(node, name))
end

function cluster.query(node, name)
	return await(core.query(node, name))
end

function cluster.register(name, address)
	assert(type(name) == "string", "the name of a service is a string")
	assert(address == nil or type(address) == "number", "the address of a service is a number")
	return skynet.call(clusterd(), "lua", "register", name, address)
end

function cluster.unregister(name)
	assert(type(name) == "string", "the name of a service is a string")
	return skynet.call(clusterd(), "lua", "unregister", name)
end

-- The state of another node: "unknown", "up", "suspect" or "down".
cluster.state = core.state

-- Calls f(change, cause, time) for each change of a node, the current state first: "up", "restarted", "suspect",
-- "down", "forgotten" or "switched". Returns a function that ends the monitor.
function cluster.monitor(node, f)
	local monitor = core.monitor(node)
	local is_active = true
	skynet.fork(function()
		while is_active do
			local change, cause, time = await(core.next_event(monitor))
			if is_active then
				local ok, problem = xpcall(f, debug.traceback, change, cause, time)
				if not ok then
					skynet.error(problem)
				end
			end
		end
	end)
	return function()
		is_active = false
	end
end

function cluster.snax(node, name, address)
	local snax = require "skynet.snax"
	address = address or cluster.call(node, ".service", "QUERY", "snaxd", name)
	return snax.bind(cluster.proxy(node, address), name)
end

-- Skynet has a sender service for each node; here the engine routes messages, and a proxy takes its place.
function cluster.get_sender(node)
	return cluster.proxy(node, ".service")
end

return cluster
