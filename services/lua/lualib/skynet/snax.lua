-- The module `skynet.snax`: services whose functions are called by name.
--
-- obj.post.f(...) sends, obj.req.f(...) calls. A message names its function by the number that the service's file gives it,
-- so both sides need the same file: see `snax.interface`.
local skynet = require "skynet"
local load_interface = require "snax.interface"

local snax = {}

-- By name: what the services of this name offer.
local interfaces = {}

-- The globals with which the file of another service is read. It is not run as a service: `require` does nothing.
local globals_module = skynet.getenv "snax_interface_g"
local reading_globals = globals_module and require(globals_module) or { require = function() end }

skynet.register_protocol {
	name = "snax",
	id = skynet.PTYPE_SNAX,
	pack = skynet.pack,
	unpack = skynet.unpack,
}

-- { name, accept, response, system }, the last three by name of a function its number.
function snax.interface(name)
	local interface = interfaces[name]
	if not interface then
		interface = { name = name, accept = {}, response = {}, system = {} }
		for _, entry in ipairs((load_interface(name, reading_globals))) do
			interface[entry[2]][entry[3]] = entry[1]
		end
		interfaces[name] = interface
	end
	return interface
end

local object = {
	__tostring = function(self)
		return ("[%s:%x]"):format(self.type, self.handle)
	end,
}

-- A table whose fields are the functions of one group.
local function functions_of(interface, group, verb, deliver, handle)
	local ids = interface[group]
	return setmetatable({}, {
		__index = function(_, name)
			local id = ids[name] or error(("%s %s:%s no exist"):format(verb, interface.name, name), 2)
			return function(...)
				return deliver(handle, "snax", id, ...)
			end
		end,
	})
end

local function post(...)
	skynet.send(...)
end

-- By handle; an object lives as long as somebody uses it.
local objects = setmetatable({}, { __mode = "kv" })

function snax.bind(handle, name)
	local known = objects[handle]
	if known then
		if known.type ~= name then
			error(("the service %s is bound as %s, not %s"):format(skynet.address(handle), known.type, name), 2)
		end
		return known
	end
	local interface = snax.interface(name)
	local bound = setmetatable({
		post = functions_of(interface, "accept", "post", post, handle),
		req = functions_of(interface, "response", "request", skynet.call, handle),
		type = name,
		handle = handle,
	}, object)
	objects[handle] = bound
	return bound
end

-- Returns the handle of a new service, whose `init` has run.
function snax.rawnewservice(name, ...)
	local interface = snax.interface(name)
	local handle = skynet.newservice("snaxd", name)
	local ok, problem = pcall(skynet.call, handle, "snax", interface.system.init, ...)
	if not ok then
		-- It would stay, and refuse all calls.
		require "skynet.manager".kill(handle)
		error(problem, 0)
	end
	return handle
end

function snax.newservice(name, ...)
	return snax.bind(snax.rawnewservice(name, ...), name)
end

-- A function that asks the service manager for a service.
local function ask(command)
	return function(name, ...)
		return snax.bind(assert(skynet.call(".service", "lua", command, "snaxd", name, ...)), name)
	end
end

snax.uniqueservice = ask "LAUNCH"
snax.globalservice = ask "GLAUNCH"
snax.queryservice = ask "QUERY"
snax.queryglobal = ask "GQUERY"

local function system_call(obj, name, ...)
	return skynet.call(obj.handle, "snax", snax.interface(obj.type).system[name], ...)
end

-- Runs the service's `exit` and ends it.
function snax.kill(obj, ...)
	system_call(obj, "exit", ...)
end

function snax.self()
	return snax.bind(skynet.self(), SERVICE_NAME)
end

function snax.exit(...)
	snax.kill(snax.self(), ...)
end

local function results(ok, ...)
	if not ok then
		error((...), 0)
	end
	return ...
end

-- Replaces functions of a running service: see `snax.hotfix`. Returns what the source's function `hotfix` returns.
function snax.hotfix(obj, source, ...)
	return results(system_call(obj, "hotfix", source, ...))
end

-- By name of a function: { count, time }, the calls and the seconds of processor time that they took.
function snax.profile_info(obj)
	return system_call(obj, "profile")
end

function snax.printf(format, ...)
	skynet.error(format:format(...))
end

return snax
