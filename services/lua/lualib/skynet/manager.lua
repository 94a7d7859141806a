-- The module `skynet.manager`: functions for services that manage other services.
local skynet = require "skynet"
local core = require "skynet.core"

local function number_of(address)
	if type(address) == "number" then
		return address
	end
	local hex = type(address) == "string" and address:match "^:(%x+)$"
	return hex and tonumber(hex, 16)
end

function skynet.launch(...)
	local arguments = { ... }
	for i, argument in ipairs(arguments) do
		arguments[i] = tostring(argument)
	end
	local address = core.command("LAUNCH", table.concat(arguments, " "))
	return address and number_of(address)
end

function skynet.kill(name)
	local address = number_of(name)
	if address then
		skynet.send(".launcher", "lua", "REMOVE", address, true)
		name = skynet.address(address)
	end
	core.command("KILL", name)
end

function skynet.abort()
	core.command("ABORT")
end

-- A name without a dot is a global name of Skynet's harbors. Here it becomes a local name, and `.cslave` answers those
-- who wait for it.
local function set_name(name, handle)
	assert(type(name) == "string" and name:sub(1, 1) ~= ":", "a name is a string and not an address")
	if name:sub(1, 1) == "." then
		core.command("NAME", name .. " " .. skynet.address(handle))
		return
	end
	assert(tonumber(name) == nil, "a global name is not a number")
	core.command("NAME", "." .. name .. " " .. skynet.address(handle))
	skynet.send(".cslave", "lua", "REGISTER", name, type(handle) == "number" and handle or skynet.localname(handle))
end

function skynet.register(name)
	set_name(name, skynet.self())
end

skynet.name = set_name

function skynet.forward_type(map, start)
	core.callback(function(kind, msg, sz, ...)
		local other = map[kind]
		if other then
			return skynet.dispatch_message(other, msg, sz, ...)
		end
		local ok, problem = pcall(skynet.dispatch_message, kind, msg, sz, ...)
		core.trash(msg, sz)
		if not ok then
			error(problem, 0)
		end
	end, true)
	skynet.timeout(0, function()
		skynet.init_service(start)
	end)
end

function skynet.filter(f, start)
	core.callback(function(...)
		return skynet.dispatch_message(f(...))
	end)
	skynet.timeout(0, function()
		skynet.init_service(start)
	end)
end

function skynet.monitor(service, query)
	local find = query and skynet.queryservice or skynet.uniqueservice
	local monitor = assert(find(true, service), "the monitor did not start")
	core.command("MONITOR", skynet.address(monitor))
	return monitor
end

return skynet
