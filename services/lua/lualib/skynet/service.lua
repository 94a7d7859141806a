-- The module `skynet.service`: creates services from functions, one for each name on the node.
local skynet = require "skynet"

local M = {}

local addresses = {}
local provider

local function call_provider(...)
	provider = provider or skynet.uniqueservice "service_provider"
	return skynet.call(provider, "lua", ...)
end

-- The function is sent as bytecode, so it can use only globals.
local function code_of(main)
	local info = debug.getinfo(main, "u")
	local name = debug.getupvalue(main, 1)
	assert(info.nups == 0 or info.nups == 1 and name == "_ENV",
		"the function of a service can use only globals: pass values as arguments, and require modules in it")
	return string.dump(main)
end

function M.new(name, main, ...)
	local address, is_starting = call_provider("test", name)
	if not address then
		if is_starting then
			address = call_provider("query", name)
		else
			address = call_provider("launch", name, code_of(main), ...)
		end
	end
	addresses[name] = address
	return address
end

function M.query(name)
	local address = addresses[name]
	if not address then
		address = call_provider("query", name)
		addresses[name] = address
	end
	return address
end

function M.close(name)
	local address = call_provider("close", name)
	if not address then
		return false
	end
	addresses[name] = nil
	require "skynet.manager"
	skynet.kill(address)
	return true
end

return M
