-- Keeps values by their keys.
local skynet = require "skynet"

local what = ...
local values = {}
local command = {}

function command.SET(key, value)
	local before = values[key]
	values[key] = value
	return before
end

function command.GET(key)
	return values[key]
end

function command.COUNT()
	local count = 0
	for _ in pairs(values) do
		count = count + 1
	end
	return count
end

skynet.start(function()
	skynet.error("The store holds", what)
	skynet.dispatch("lua", function(session, _, name, ...)
		local f = command[name]
		if not f then
			error(("the store knows no %s"):format(name))
		end
		if session == 0 then
			f(...)
		else
			skynet.retpack(f(...))
		end
	end)
end)
