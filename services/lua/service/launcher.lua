-- Lists the services that were launched, and launches them for those who ask. `skynet.newservice` does not ask: it uses the
-- same list, and the service that has started, or failed, answers by itself.
local skynet = require "skynet.manager"
local launches = require "skyring.launches"

local NO_ANSWER = {}

local command = {}

function command.LIST()
	local list = {}
	for handle, what in launches.next do
		list[skynet.address(handle)] = what
	end
	return list
end

-- Calls every service by the protocol `debug`.
local function call_all(ticks, describe, ...)
	local requests, list = skynet.request(), {}
	local waiting = {}
	for handle in launches.next do
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
		return ("%.2f Kb (%s)"):format(kilobytes, launches.what(handle))
	end, "MEM")
end

function command.GC(source, ticks)
	for handle in launches.next do
		skynet.send(handle, "debug", "GC")
	end
	return command.MEM(source, ticks)
end

function command.KILL(_, address)
	local handle = type(address) == "string" and tonumber((address:gsub("^:", "")), 16) or address
	local killed = { [skynet.address(handle)] = tostring(launches.what(handle)) }
	skynet.kill(handle)
	return killed
end

-- A service has ended. If it was still starting, its launch is answered: with nil, or with `kill` with an error.
function command.REMOVE(_, handle, kill)
	launches.finish(handle, kill and "killed" or "exited")
	return NO_ANSWER
end

local function launch(is_logged, kind, ...)
	local arguments, request = table.concat({ ... }, " "), skynet.context()
	local answer = skynet.response()
	answer(pcall(launches.launch, kind, arguments, request, is_logged))
	return NO_ANSWER
end

function command.LAUNCH(_, ...)
	return launch(false, ...)
end

-- Also logs its messages: see the command LOGON.
function command.LOGLAUNCH(_, ...)
	return launch(true, ...)
end

function command.ERROR(source, problem)
	launches.finish(source, "failed", problem or "its file failed, see the log")
	return NO_ANSWER
end

function command.LAUNCHOK(source)
	launches.finish(source, "started")
	return NO_ANSWER
end

-- The service that is starting for the request with this session.
function command.QUERY(_, session)
	return launches.find(session)
end

-- Services that do not use `skynet.start` may report with a message of the kind `text`, as Skynet's services in C do.
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

launches.serve()

skynet.start(function() end)
