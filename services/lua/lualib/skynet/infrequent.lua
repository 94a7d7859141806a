-- The functions of `skynet` that few services use. `skynet` loads this module when one of them is first used.
local core = require "skynet.core"
local host = require "skyring.host"

local traceback = debug.traceback

return function(skynet, state)

local M = {}
-- The functions for `skynet`. Those that the service has set itself stay.
local added = { cache = require "skynet.codecache", response = require "skynet.response" }
local proto = skynet._proto

---- messages without values

local function protocol(typename)
	return proto[typename] or
		error(("there is no protocol %s: register it with skynet.register_protocol"):format(tostring(typename)), 3)
end

function added.rawsend(addr, typename, msg, sz)
	return core.send(addr, protocol(typename).id, 0, msg, sz)
end

function added.redirect(dest, source, typename, ...)
	return core.redirect(dest, source, protocol(typename).id, ...)
end

function added.rawcall(addr, typename, msg, sz)
	if state.traces then
		state.traces.before_call(addr)
	end
	return host.rawcall(addr, protocol(typename).id, msg, sz)
end

---- traces

local function start_traces()
	if not state.traces then
		state.traces = require "skynet.traces" (skynet, host, core)
		-- The function in Rust does not know traces.
		function skynet.newservice(name, ...)
			return skynet.call(".launcher", "lua", "LAUNCH", "snlua", name, ...)
		end
	end
	return state.traces
end

function added.tracecall(tag, addr, typename, msg, sz)
	core.trace(tag, "tracecall begin")
	core.send(addr, skynet.PTYPE_TRACE, 0, tag)
	local answer, size = host.rawcall(addr, protocol(typename).id, msg, sz)
	core.trace(tag, "tracecall end")
	return answer, size
end

---- coroutines

local function find_thread(thread)
	if type(thread) ~= "string" then
		return thread
	end
	for _, co in pairs(host.tasks()) do
		if co and tostring(co):find(thread, 1, true) then
			return co
		end
	end
end

function added.killthread(thread)
	local co = find_thread(thread)
	if not co then
		return
	end
	local session = host.waiting_session(co)
	local killed = host.kill(co)
	for token, waiting in pairs(state.waiting_sessions) do
		if waiting == session then
			state.waiting_sessions[token] = nil
			break
		end
	end
	return killed
end

-- skynet.timeout while trace_timeout is on.
function M.traced_timeout(ticks, f)
	local co
	co = host.timeout(ticks, function()
		if state.timer_tracebacks then
			state.timer_tracebacks[co] = nil
		end
		return f()
	end)
	state.timer_tracebacks[co] = traceback(("TIMER %d+%d : "):format(skynet.now(), ticks), 3)
	return co
end

function added.trace_timeout(on)
	state.timer_tracebacks = on and (state.timer_tracebacks or {}) or nil
end

---- several calls at once

function added.request(first)
	skynet.request = require "skynet.requests" (skynet, function(addr)
		if state.traces then
			state.traces.before_call(addr)
		end
	end)
	return skynet.request(first)
end

---- the service and its node

function added.setenv(key, value)
	assert(core.command("GETENV", key) == nil, "the key is already set: " .. key)
	core.command("SETENV", key .. " " .. value)
end

function added.queryservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GQUERY", ...))
	end
	return assert(skynet.call(".service", "lua", "QUERY", global, ...))
end

-- Treats a service as ended: drops its pending calls, and fails the waiting calls to it.
function added.term(service)
	if type(service) == "string" then
		service = core.addresscommand("QUERY", service)
	end
	if service then
		host.drop_responses(service)
		host.fail_calls(service)
	end
end

function added.memlimit(bytes)
	host.memory_limit(bytes)
	skynet.memlimit = nil
end

function added.endless()
	return core.intcommand("STAT", "endless") == 1
end

function added.mqlen()
	return core.intcommand("STAT", "mqlen")
end

function added.stat(what)
	return core.intcommand("STAT", what)
end

-- The protocol `debug` replaces it.
function added.info_func(f)
	assert(proto.debug, "the protocol debug is not registered")
	skynet.info_func(f)
end

---- messages without a handler

local function unknown_request(session, source, msg, sz, kind)
	skynet.error(("Unknown request (%s): %s"):format(kind, core.tostring(msg, sz)))
	error(("Unknown session : %d from %x"):format(session, source))
end

function added.dispatch_unknown_request(f)
	local before = unknown_request
	unknown_request = f
	return before
end

-- Handles answers to sessions without a call; answers to cancelled calls are dropped. The source is 0.
local function unknown_response(session, source, msg, sz)
	skynet.error("Response message : " .. core.tostring(msg, sz))
	error(("Unknown session : %d from %x"):format(session, source))
end

function added.dispatch_unknown_response(f)
	local before = unknown_response
	unknown_response = f
	return before
end

function M.unknown(session, source, kind, msg, sz)
	if kind == skynet.PTYPE_RESPONSE then
		unknown_response(session, source, msg, sz)
		return
	end
	if kind == skynet.PTYPE_TRACE then
		start_traces().next_of[source] = core.tostring(msg, sz)
		return
	end
	local p = proto[kind]
	if session ~= 0 then
		host.skip_answer()
		core.send(source, skynet.PTYPE_ERROR, session,
			("the service does not handle messages of the kind %s"):format(p and p.name or kind))
		return
	end
	unknown_request(session, source, msg, sz, p and p.name or kind)
end

---- what the debug console shows

local function traceback_of(co)
	if not co then
		return "BREAK"
	end
	return state.timer_tracebacks and state.timer_tracebacks[co] or traceback(co)
end

function added.task(what)
	local tasks = host.tasks()
	local kind = type(what)
	if what == nil then
		local count = 0
		for _, co in pairs(tasks) do
			if co then
				count = count + 1
			end
		end
		return count
	elseif what == "init" then
		return state.start_thread and traceback(state.start_thread) or nil
	elseif kind == "table" then
		for session, co in pairs(tasks) do
			what[("%s session: %d"):format(tostring(co), session)] = traceback_of(co)
		end
	elseif kind == "number" then
		local co = tasks[what]
		return co ~= nil and traceback_of(co) or "No session"
	elseif kind == "thread" then
		for session, co in pairs(tasks) do
			if co == what then
				return session
			end
		end
	end
end

function added.uniqtask()
	local groups = {}
	for session, co in pairs(host.tasks()) do
		local key = traceback_of(co)
		local entry = groups[key] or { count = 0, sessions = {} }
		entry.count = entry.count + 1
		if entry.count < 10 then
			entry.sessions[#entry.sessions + 1] = session
		end
		groups[key] = entry
	end
	local result = {}
	for key, entry in pairs(groups) do
		local sessions = table.concat(entry.sessions, ",") .. (entry.count > 10 and "..." or "")
		result[("%d\tsessions:[%s]\n"):format(entry.count, sessions)] = key
	end
	return result
end

---- traces

function added.trace(info)
	return start_traces().begin(info)
end

function added.tracetag()
	return state.traces and state.traces.tag() or nil
end

-- true: every message of the protocol is traced; false: none; nil: those with a tag.
function added.traceproto(typename, flag)
	local p = protocol(typename)
	start_traces()
	p.trace = flag
	if p.dispatch then
		state.set_handler(p)
	end
end

-- The value of a field that `skynet` does not have.
function M.missing(_, key)
	require "skynet.missing"("skynet", key)
end

for name, value in pairs(added) do
	if skynet[name] == nil then
		skynet[name] = value
	end
end

return M

end
