-- Launches services and waits until they have started, for skynet.newservice; keeps the list of services.
local skynet = require "skynet.manager"
local core = require "skynet.core"

-- By handle: the kind and arguments of the service.
local services = {}
-- By handle of a service that is starting: the closure that answers the launch, and the session of that call.
local starting = {}

local NO_ANSWER = {}

local command = {}

function command.LIST()
	local list = {}
	for handle, what in pairs(services) do
		list[skynet.address(handle)] = what
	end
	return list
end

-- Calls every service by the protocol `debug`.
local function call_all(ticks, describe, ...)
	local requests, list = skynet.request(), {}
	local waiting = {}
	for handle in pairs(services) do
		local request = { handle, "debug", ... }
		requests:add(request)
		waiting[request] = handle
	end
	for request, answer in requests:select(ticks) do
		local handle = waiting[request]
		waiting[request] = nil
		list[skynet.address(handle)] = answer and describe(answer[1], handle) or "ERROR"
	end
	for _, handle in pairs(waiting) do
		list[skynet.address(handle)] = "TIMEOUT"
	end
	return list
end

function command.STAT(_, ticks)
	return call_all(ticks, function(stat) return stat end, "STAT")
end

function command.MEM(_, ticks)
	return call_all(ticks, function(kilobytes, handle)
		return ("%.2f Kb (%s)"):format(kilobytes, services[handle])
	end, "MEM")
end

function command.GC(source, ticks)
	for handle in pairs(services) do
		skynet.send(handle, "debug", "GC")
	end
	return command.MEM(source, ticks)
end

function command.KILL(_, address)
	local handle = type(address) == "string" and tonumber((address:gsub("^:", "")), 16) or address
	skynet.kill(handle)
	local killed = { [skynet.address(handle)] = tostring(services[handle]) }
	services[handle] = nil
	return killed
end

-- A service has ended. If it was still starting, its launch is answered: with nil, or with `kill` with an error.
function command.REMOVE(_, handle, kill)
	services[handle] = nil
	local start = starting[handle]
	starting[handle] = nil
	if start then
		start.answer(not kill, kill and "the service was killed before it had started" or nil)
	end
	return NO_ANSWER
end

local function launch(kind, ...)
	local arguments = table.concat({ ... }, " ")
	local session = skynet.context()
	local answer = skynet.response()
	local handle = skynet.launch(kind, arguments)
	if not handle then
		answer(false, ("unknown kind of service \"%s\""):format(kind))
		return
	end
	services[handle] = kind .. " " .. arguments
	starting[handle] = { answer = answer, session = session }
	return handle
end

function command.LAUNCH(_, kind, ...)
	launch(kind, ...)
	return NO_ANSWER
end

function command.LOGLAUNCH(_, kind, ...)
	local handle = launch(kind, ...)
	if handle then
		core.command("LOGON", skynet.address(handle))
	end
	return NO_ANSWER
end

function command.ERROR(source, problem)
	local start = starting[source]
	starting[source] = nil
	local what = services[source]
	services[source] = nil
	if start then
		start.answer(false, ("%s did not start: %s"):format(what, problem or "its file failed, see the log"))
	end
	return NO_ANSWER
end

function command.LAUNCHOK(source)
	local start = starting[source]
	starting[source] = nil
	if start then
		start.answer(true, source)
	end
	return NO_ANSWER
end

function command.QUERY(_, session)
	for handle, start in pairs(starting) do
		if start.session == session then
			return handle
		end
	end
end

-- The host reports with a message of the kind `text` that a service's file failed.
skynet.register_protocol {
	name = "text",
	id = skynet.PTYPE_TEXT,
	unpack = skynet.tostring,
	dispatch = function(_, source, text)
		local kind, problem = text:match "^(%u*)%s*(.*)$"
		if text == "" then
			command.LAUNCHOK(source)
		elseif kind == "ERROR" then
			command.ERROR(source, problem ~= "" and problem or nil)
		else
			error("unknown text message: " .. text)
		end
	end,
}

skynet.dispatch("lua", function(_, source, name, ...)
	local f = command[tostring(name):upper()]
	if not f then
		return skynet.retpack { "Unknown command" }
	end
	local answer = f(source, ...)
	if answer ~= NO_ANSWER then
		skynet.retpack(answer)
	end
end)

skynet.start(function() end)
