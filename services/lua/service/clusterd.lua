-- The service that configures the cluster: it listens, registers names and reloads the map.
local skynet = require "skynet"
local core = require "skynet.cluster.core"
local await = require("skyring.host").await

local command = {}

function command.listen(_, name_or_port, options, maxclient)
	-- Skynet's own library sends address and port as two arguments.
	if type(options) == "number" and maxclient ~= nil then
		name_or_port, options = options, maxclient
	end
	local clients, channels = options, nil
	if type(options) == "table" then
		clients, channels = options.maxclient, options.channel
	end
	return await(core.listen(name_or_port, clients, channels))
end

function command.register(source, name, address)
	core.register(name, address or source)
end

function command.unregister(_, name)
	core.unregister(name)
end

function command.reload(_, config)
	await(core.reload(config))
end

function command.proxy(_, node, name)
	return await(core.proxy(node, name))
end

function command.queryname(_, name)
	return skynet.localname("@" .. name)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, source, name, ...)
		local f = command[name] or error("unknown command " .. tostring(name), 0)
		skynet.retpack(f(source, ...))
	end)
end)
