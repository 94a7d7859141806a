local skynet = require "skynet"

local values = { name = "skyring" }
local reads = 0
local command = {}

local function find(key)
	local value = values[key]
	return value
end

function command.get(key)
	reads = reads + 1
	local value = find(key)
	return value
end

function command.set(key, value)
	values[key] = value
end

skynet.start(function()
	skynet.dispatch("lua", function(session, source, name, ...)
		local f = command[name]
		skynet.retpack(f(...))
	end)
	skynet.info_func(function()
		return { reads = reads }
	end)
end)
