-- The module `skynet.service`: services from functions, one of each name on the node.
local skynet = require "skynet"

local M = {}

local addresses = {}
local provider

local function ask(...)
	provider = provider or skynet.uniqueservice "service_provider"
	return skynet.call(provider, "lua", ...)
end

-- The function travels as code, so it can use nothing but globals.
local function code_of(main)
	local info = debug.getinfo(main, "u")
	local name = debug.getupvalue(main, 1)
	assert(info.nups == 0 or info.nups == 1 and name == "_ENV",
		"the function of a service can use globals only: what it needs it gets as arguments or requires itself")
	return string.dump(main)
end

function M.new(name, main, ...)
	local address, is_starting = ask("test", name)
	if not address then
		if is_starting then
			address = ask("query", name)
		else
			address = ask("launch", name, code_of(main), ...)
		end
	end
	addresses[name] = address
	return address
end

function M.query(name)
	local address = addresses[name]
	if not address then
		address = ask("query", name)
		addresses[name] = address
	end
	return address
end

function M.close(name)
	local address = ask("close", name)
	if not address then
		return false
	end
	addresses[name] = nil
	require "skynet.manager"
	skynet.kill(address)
	return true
end

return M
