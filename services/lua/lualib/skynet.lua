-- The built-in module `skynet`: Skynet's functions, on the coroutines of the host.
--
-- The host does the work of every message: it starts and resumes coroutines, packs values and manages sessions. This
-- file holds protocols, the tokens of sleeping coroutines, and infrequent functions.
local core = require "skynet.core"
local host = require "skyring.host"
local module_loader = require "skynet.require"

local type, tostring, assert, error, select = type, tostring, assert, error, select
local pairs, ipairs, pcall, xpcall, next = pairs, ipairs, pcall, xpcall, next
local traceback = debug.traceback
local running = coroutine.running
local pack, unpack = core.pack, core.unpack
local host_call, host_send, host_retpack = host.call, host.send, host.retpack
local host_suspend, host_wakeup = host.suspend, host.wakeup

local skynet = {
	PTYPE_TEXT = 0,
	PTYPE_RESPONSE = 1,
	PTYPE_MULTICAST = 2,
	PTYPE_CLIENT = 3,
	PTYPE_SYSTEM = 4,
	PTYPE_HARBOR = 5,
	PTYPE_SOCKET = 6,
	PTYPE_ERROR = 7,
	PTYPE_QUEUE = 8,
	PTYPE_DEBUG = 9,
	PTYPE_LUA = 10,
	PTYPE_SNAX = 11,
	PTYPE_TRACE = 12,
}

-- Protocols, by name and by number.
local proto = {}
skynet._proto = proto

---- functions of the core

skynet.pack, skynet.packstring, skynet.unpack = pack, core.packstring, unpack
skynet.tostring, skynet.trash = core.tostring, core.trash
skynet.genid, skynet.now, skynet.hpc = core.genid, core.now, core.hpc
skynet.error, skynet.tracelog, skynet.harbor = core.error, core.trace, core.harbor
skynet.init = module_loader.init
skynet.pcall = pcall

---- traces: loaded when the first one is requested

local traces

local function start_traces()
	traces = traces or require "skynet.traces" (skynet, host, core)
	return traces
end

---- protocols

-- Whether the host packs and unpacks for a protocol, which then uses skynet.pack and skynet.unpack.
local function is_plain(p)
	return p.unpack == unpack and (p.pack == nil or p.pack == pack)
end

local function set_handler(p)
	local f = p.dispatch
	if f == nil then
		host.handler(p.id, nil)
	elseif p.trace ~= nil or traces then
		traces.handle(p, f)
	elseif p.unpack == unpack then
		host.handler(p.id, f, true)
	else
		local own_unpack = p.unpack
		host.handler(p.id, function(session, source, _, msg, sz)
			if own_unpack then
				return f(session, source, own_unpack(msg, sz))
			end
			error("the protocol " .. p.name .. " has no function unpack")
		end)
	end
end

function skynet.register_protocol(class)
	local name, id = class.name, class.id
	assert(type(name) == "string" and type(id) == "number" and id >= 0 and id <= 255,
		"a protocol has a name and an id from 0 to 255")
	assert(proto[name] == nil and proto[id] == nil, "the protocol is already registered")
	proto[name], proto[id] = class, class
	if is_plain(class) then
		class.plain_id = id
	end
	if class.dispatch then
		set_handler(class)
	end
end

local function protocol(typename)
	local p = proto[typename]
	if not p then
		error(("there is no protocol %s: register it with skynet.register_protocol"):format(tostring(typename)), 3)
	end
	return p
end

function skynet.dispatch(typename, f)
	local p = proto[typename]
	if not f then
		return p and p.dispatch
	end
	p = p or protocol(typename)
	local before = p.dispatch
	p.dispatch = f
	set_handler(p)
	return before
end

---- sends and calls

function skynet.send(addr, typename, ...)
	local p = proto[typename] or protocol(typename)
	local id = p.plain_id
	if id then
		return host_send(addr, id, ...)
	end
	return core.send(addr, p.id, 0, p.pack(...))
end

function skynet.rawsend(addr, typename, msg, sz)
	return core.send(addr, (proto[typename] or protocol(typename)).id, 0, msg, sz)
end

function skynet.redirect(dest, source, typename, ...)
	return core.redirect(dest, source, (proto[typename] or protocol(typename)).id, ...)
end

function skynet.call(addr, typename, ...)
	local tag = traces and traces.before_call(addr)
	local p = proto[typename] or protocol(typename)
	local id = p.plain_id
	if tag then
		if id then
			return traces.resume(tag, host_call(addr, id, ...))
		end
		return p.unpack(traces.resume(tag, host.rawcall(addr, p.id, p.pack(...))))
	elseif id then
		return host_call(addr, id, ...)
	end
	return p.unpack(host.rawcall(addr, p.id, p.pack(...)))
end

function skynet.rawcall(addr, typename, msg, sz)
	if traces then
		traces.before_call(addr)
	end
	return host.rawcall(addr, (proto[typename] or protocol(typename)).id, msg, sz)
end

function skynet.tracecall(tag, addr, typename, msg, sz)
	core.trace(tag, "tracecall begin")
	core.send(addr, skynet.PTYPE_TRACE, 0, tag)
	local answer, size = host.rawcall(addr, protocol(typename).id, msg, sz)
	core.trace(tag, "tracecall end")
	return answer, size
end

---- answers

skynet.ret = host.ret
skynet.retpack = host_retpack

function skynet.context()
	return host.context()
end

function skynet.ignoreret()
	host.skip_answer()
end

function skynet.response(own_pack)
	own_pack = own_pack or pack
	local session, source = host.take_call()
	assert(session, "there is no message to answer here")
	if session == 0 then
		return function() end
	end
	local done = false
	return function(ok, ...)
		if ok == "TEST" then
			return host.is_response_pending(session, source)
		end
		if done then
			error("a call can be answered only once")
		end
		done = true
		if ok then
			return host.respond(session, source, true, own_pack(...))
		end
		local text = ...
		return host.respond(session, source, false, text ~= nil and tostring(text) or "the service answered with an error")
	end
end

---- coroutines

skynet.fork = host.fork

-- By coroutine: the traceback of the call that set its timer, while trace_timeout is on.
local timer_tracebacks

function skynet.timeout(ticks, f)
	if not timer_tracebacks then
		return (host.timeout(ticks, f))
	end
	local co
	co = host.timeout(ticks, function()
		if timer_tracebacks then
			timer_tracebacks[co] = nil
		end
		return f()
	end)
	timer_tracebacks[co] = traceback(("TIMER %d+%d : "):format(skynet.now(), ticks), 2)
	return co
end

function skynet.trace_timeout(on)
	timer_tracebacks = on and (timer_tracebacks or {}) or nil
end

-- By token: the session of the coroutine that sleeps or waits.
local waiting_sessions = {}

local function sleep_until(session, token)
	waiting_sessions[token] = session
	local woken = host_suspend(session)
	waiting_sessions[token] = nil
	return woken
end

function skynet.sleep(ticks, token)
	token = token or running()
	assert(waiting_sessions[token] == nil, "the token is in use")
	if sleep_until(host.timer(ticks), token) then
		return "BREAK"
	end
end

function skynet.yield()
	return skynet.sleep(0)
end

function skynet.wait(token)
	token = token or running()
	assert(waiting_sessions[token] == nil, "the token is in use")
	local session = core.genid()
	sleep_until(session, token)
	host.drop_wait(session)
end

function skynet.wakeup(token)
	local session = waiting_sessions[token]
	if session then
		host_wakeup(session)
		return true
	end
end

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

function skynet.killthread(thread)
	local co = find_thread(thread)
	if not co then
		return
	end
	local session = host.waiting_session(co)
	local killed = host.kill(co)
	for token, waiting in pairs(waiting_sessions) do
		if waiting == session then
			waiting_sessions[token] = nil
			break
		end
	end
	return killed
end

---- several calls at once

function skynet.request(first)
	skynet.request = require "skynet.requests" (skynet, function(addr)
		if traces then
			traces.before_call(addr)
		end
	end)
	return skynet.request(first)
end

---- the service and its node

local own_address
function skynet.self()
	own_address = own_address or core.addresscommand "REG"
	return own_address
end

function skynet.localname(name)
	return core.addresscommand("QUERY", name)
end

function skynet.address(addr)
	if type(addr) == "number" then
		return (":%08x"):format(addr)
	end
	return tostring(addr)
end

local start_time
function skynet.starttime()
	start_time = start_time or core.intcommand "STARTTIME"
	return start_time
end

function skynet.time()
	return core.now() / 100 + skynet.starttime()
end

function skynet.getenv(key)
	return (core.command("GETENV", key))
end

function skynet.setenv(key, value)
	assert(core.command("GETENV", key) == nil, "the key is already set: " .. key)
	core.command("SETENV", key .. " " .. value)
end

function skynet.newservice(name, ...)
	return skynet.call(".launcher", "lua", "LAUNCH", "snlua", name, ...)
end

function skynet.uniqueservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GLAUNCH", ...))
	end
	return assert(skynet.call(".service", "lua", "LAUNCH", global, ...))
end

function skynet.queryservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GQUERY", ...))
	end
	return assert(skynet.call(".service", "lua", "QUERY", global, ...))
end

function skynet.exit()
	core.send(".launcher", skynet.PTYPE_LUA, 0, pack("REMOVE", skynet.self(), false))
	core.command("EXIT")
	host.quit()
end

-- Treats a service as ended: drops its pending calls, and fails the waiting calls to it.
function skynet.term(service)
	if type(service) == "string" then
		service = core.addresscommand("QUERY", service)
	end
	if service then
		host.drop_responses(service)
		host.fail_calls(service)
	end
end

function skynet.memlimit(bytes)
	host.memory_limit(bytes)
	skynet.memlimit = nil
end

function skynet.endless()
	return core.intcommand("STAT", "endless") == 1
end

function skynet.mqlen()
	return core.intcommand("STAT", "mqlen")
end

function skynet.stat(what)
	return core.intcommand("STAT", what)
end

---- start

local start_thread

function skynet.init_service(start)
	local ok, problem = xpcall(function()
		module_loader.init_all()
		start()
	end, traceback)
	if ok then
		skynet.send(".launcher", "lua", "LAUNCHOK")
	else
		skynet.error("init service failed: " .. tostring(problem))
		skynet.send(".launcher", "lua", "ERROR", tostring(problem))
		skynet.exit()
	end
end

function skynet.start(start)
	host.start()
	start_thread = skynet.timeout(0, function()
		skynet.init_service(start)
		start_thread = nil
	end)
end

skynet.dispatch_message = host.dispatch_message

---- messages without a handler

local function unknown_request(session, source, msg, sz, kind)
	skynet.error(("Unknown request (%s): %s"):format(kind, core.tostring(msg, sz)))
	error(("Unknown session : %d from %x"):format(session, source))
end

function skynet.dispatch_unknown_request(f)
	local before = unknown_request
	unknown_request = f
	return before
end

-- Handles answers to sessions without a call; answers to cancelled calls are dropped. The source is 0.
local function unknown_response(session, source, msg, sz)
	skynet.error("Response message : " .. core.tostring(msg, sz))
	error(("Unknown session : %d from %x"):format(session, source))
end

function skynet.dispatch_unknown_response(f)
	local before = unknown_response
	unknown_response = f
	return before
end

host.handler_unknown(function(session, source, kind, msg, sz)
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
end)

---- what the debug console shows

local function traceback_of(co)
	if not co then
		return "BREAK"
	end
	return timer_tracebacks and timer_tracebacks[co] or traceback(co)
end

function skynet.task(what)
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
		return start_thread and traceback(start_thread) or nil
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

function skynet.uniqtask()
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

function skynet.trace(info)
	return start_traces().begin(info)
end

function skynet.tracetag()
	return traces and traces.tag() or nil
end

-- true: every message of the protocol is traced; false: none; nil: those with a tag.
function skynet.traceproto(typename, flag)
	local p = protocol(typename)
	start_traces()
	p.trace = flag
	if p.dispatch then
		set_handler(p)
	end
end

---- protocols of every service

skynet.register_protocol { name = "lua", id = skynet.PTYPE_LUA, pack = pack, unpack = unpack }
skynet.register_protocol { name = "response", id = skynet.PTYPE_RESPONSE }
skynet.register_protocol {
	name = "error",
	id = skynet.PTYPE_ERROR,
	unpack = function(...) return ... end,
	dispatch = function(session, source)
		if session == 0 then
			skynet.term(source)
		end
	end,
}

skynet.cache = require "skynet.codecache"
require("skynet.debug").init(skynet)

return skynet
