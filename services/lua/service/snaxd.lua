-- Runs one snax service: snaxd NAME. See the module `skynet.snax`.
local skynet = require "skynet"
local profile = require "skynet.profile"
local snax = require "skynet.snax"
local load_interface = require "snax.interface"

local name = tostring((...))
local loader_path = skynet.getenv "snax_loader"
local loader = loader_path and assert(dofile(loader_path))

-- The list of { id, group, name, function }.
local functions, pattern = load_interface(name, _ENV, loader)

local folder = pattern:match "^([^?]*)" .. name .. "/"
package.path = folder .. "?.lua;" .. package.path
SERVICE_NAME, SERVICE_PATH = name, folder

-- By name of a function: { count, time }.
local times = {}

local function record(function_name, seconds)
	local entry = times[function_name]
	if not entry then
		entry = { count = 0, time = 0 }
		times[function_name] = entry
	end
	entry.count, entry.time = entry.count + 1, entry.time + seconds
end

local function respond(f, ...)
	return skynet.retpack(f(...))
end

local function run(entry, ...)
	profile.start()
	local ok, problem
	if entry[2] == "accept" then
		ok, problem = xpcall(entry[4], debug.traceback, ...)
	else
		ok, problem = xpcall(respond, debug.traceback, entry[4], ...)
	end
	record(entry[3], profile.stop())
	if not ok then
		error(problem, 0)
	end
end

local is_ready = false
local system = {}

function system.init(f, ...)
	assert(not is_ready, "the service is ready already")
	if f then
		f(...)
	end
	skynet.ret()
	skynet.info_func(function()
		return times
	end)
	is_ready = true
end

function system.exit(f, ...)
	assert(is_ready, "the service is not ready")
	if f then
		f(...)
	end
	skynet.ret()
	is_ready = false
	skynet.exit()
end

function system.hotfix(_, ...)
	skynet.retpack(require "snax.hotfix"(functions, ...))
end

function system.profile()
	skynet.retpack(times)
end

local function dispatch(_, _, id, ...)
	local entry = functions[id] or error(("the snax service %s has no function %s"):format(name, tostring(id)), 0)
	if entry[2] == "system" then
		return system[entry[3]](entry[4], ...)
	end
	assert(is_ready, "the service is not ready")
	run(entry, ...)
end

skynet.start(function()
	skynet.dispatch("snax", dispatch)

	-- The service accepts calls of other nodes: they arrive as messages of the protocol lua.
	function snax.enablecluster()
		skynet.dispatch("lua", dispatch)
	end
end)
