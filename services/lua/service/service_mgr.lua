-- Keeps the services that exist once on the node, for skynet.uniqueservice and skynet.queryservice.
local skynet = require "skynet.manager"

-- By name: the handle, the error of a failed start, or the coroutines that wait for the start.
local services = {}

local function launcher_of(name, first)
	if name == "snaxd" then
		local snax = require "skynet.snax"
		return snax.rawnewservice, name .. "." .. first
	end
	return nil, name
end

local function start(name, launch, ...)
	local entry = services[name]
	entry.co, entry.session, entry.source = coroutine.running(), skynet.context()
	local ok, result = pcall(launch, ...)
	services[name] = ok and result or tostring(result)
	for _, waiting in ipairs(entry) do
		skynet.wakeup(waiting.co)
	end
	if not ok then
		error(result, 0)
	end
	return result
end

-- Returns the handle of a service. If it is not running, starts it with `launch`, or waits until another call has.
local function find(name, launch, ...)
	local entry = services[name]
	if type(entry) == "number" then
		return entry
	elseif type(entry) == "string" then
		error(entry, 0)
	elseif entry == nil then
		entry = {}
		services[name] = entry
	end
	if launch and not entry.co then
		return start(name, launch, ...)
	end
	local co = coroutine.running()
	local session, source = skynet.context()
	table.insert(entry, { co = co, session = session, source = source })
	skynet.wait(co)
	entry = services[name]
	if type(entry) ~= "number" then
		error(tostring(entry), 0)
	end
	return entry
end

local function strip_global(name)
	return (name:gsub("^@", ""))
end

local command = {}

function command.LAUNCH(name, first, ...)
	local own_launch, key = launcher_of(strip_global(name), first)
	if own_launch then
		return find(key, own_launch, first, ...)
	end
	return find(name, skynet.newservice, strip_global(name), first, ...)
end

function command.QUERY(name, first)
	local _, key = launcher_of(strip_global(name), first)
	return find(key == strip_global(name) and name or key)
end

-- A global service of Skynet's harbors is a service of the node here.
function command.GLAUNCH(name, ...)
	return command.LAUNCH("@" .. name, ...)
end

function command.GQUERY(name, ...)
	return command.QUERY("@" .. name, ...)
end

local function describe(entry)
	if type(entry) == "number" then
		return skynet.address(entry)
	elseif type(entry) == "string" then
		return "Error: " .. entry
	end
	local lines = {}
	if entry.source then
		lines[1] = "Launching from " .. skynet.address(entry.source)
	end
	for _, waiting in ipairs(entry) do
		lines[#lines + 1] = "Querying from " .. skynet.address(waiting.source)
	end
	return table.concat(lines, "\n")
end

function command.LIST()
	local list = {}
	for name, entry in pairs(services) do
		list[name] = describe(entry)
	end
	return list
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, name, ...)
		local f = command[name]
		if not f then
			return skynet.retpack(nil, "Invalid command " .. tostring(name))
		end
		local ok, result = pcall(f, ...)
		if ok then
			return skynet.retpack(result)
		end
		skynet.retpack(nil, result)
	end)
	local other = skynet.localname ".service"
	if other then
		skynet.error(".service is already register by ", skynet.address(other))
		return skynet.exit()
	end
	skynet.register ".service"
	-- The name of Skynet's harbors, by which its own console asks.
	skynet.register "SERVICE"
end)
