-- The built-in module `skynet`: Skynet's functions, on the coroutines of the host.
--
-- The host does the work of every message: it starts and resumes coroutines, packs values and manages sessions. This
-- file holds protocols, the tokens of sleeping coroutines, and the functions that most services use. The others are in
-- `skynet.infrequent` and `skynet.response`, which are loaded when one of them is first used.
--
-- Functions keep only what they use of the modules in Rust, whose tables are freed: every service has this module, so its
-- memory counts.
local core = require "skynet.core"
local host = require "skyring.host"
local module_loader = require "skynet.require"

local type, tostring, assert, error = type, tostring, assert, error
local pcall, xpcall = pcall, xpcall
local traceback = debug.traceback
local running = coroutine.running
local pack, unpack = core.pack, core.unpack
local host_call, host_rawcall, host_send = host.call, host.rawcall, host.send
local host_suspend, host_wakeup, host_drop_wait = host.suspend, host.wakeup, host.drop_wait
local host_timeout, host_timer, host_handler = host.timeout, host.timer, host.handler
local host_start, host_started, host_quit = host.start, host.started, host.quit
local core_send, core_genid, core_command = core.send, core.genid, core.command
local init_all = module_loader.init_all

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

-- What `skynet.infrequent` also uses:
-- `traces`: the module of that name, once a trace was requested;
-- `timer_tracebacks`: while trace_timeout is on, by coroutine the traceback of the call that set its timer;
-- `waiting_sessions`: by token, the session of the coroutine that sleeps or waits;
-- `start_thread`: the coroutine that starts the service.
local state = { waiting_sessions = {} }
local waiting_sessions = state.waiting_sessions

local infrequent

local function load_infrequent()
	infrequent = infrequent or require "skynet.infrequent"(skynet, state)
	return infrequent
end

---- functions of the core

skynet.pack, skynet.packstring, skynet.unpack = pack, core.packstring, unpack
skynet.tostring, skynet.trash = core.tostring, core.trash
skynet.genid, skynet.now, skynet.hpc = core.genid, core.now, core.hpc
skynet.error, skynet.tracelog, skynet.harbor = core.error, core.trace, core.harbor
skynet.init = module_loader.init
skynet.pcall = pcall

---- protocols

-- Whether the host packs and unpacks for a protocol, which then uses skynet.pack and skynet.unpack.
local function is_plain(p)
	return p.unpack == unpack and (p.pack == nil or p.pack == pack)
end

function state.set_handler(p)
	local f = p.dispatch
	if f == nil then
		host_handler(p.id, nil)
	elseif p.trace ~= nil or state.traces then
		state.traces.handle(p, f)
	elseif p.unpack == unpack then
		host_handler(p.id, f, true)
	else
		local own_unpack = p.unpack
		host_handler(p.id, function(session, source, _, msg, sz)
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
		state.set_handler(class)
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
	state.set_handler(p)
	return before
end

---- sends and calls

function skynet.send(addr, typename, ...)
	local p = proto[typename] or protocol(typename)
	local id = p.plain_id
	if id then
		return host_send(addr, id, ...)
	end
	return core_send(addr, p.id, 0, p.pack(...))
end

function skynet.call(addr, typename, ...)
	local traces = state.traces
	local tag = traces and traces.before_call(addr)
	local p = proto[typename] or protocol(typename)
	local id = p.plain_id
	if tag then
		if id then
			return traces.resume(tag, host_call(addr, id, ...))
		end
		return p.unpack(traces.resume(tag, host_rawcall(addr, p.id, p.pack(...))))
	elseif id then
		return host_call(addr, id, ...)
	end
	return p.unpack(host_rawcall(addr, p.id, p.pack(...)))
end

---- answers

skynet.ret, skynet.retpack = host.ret, host.retpack
skynet.context, skynet.ignoreret = host.context, host.skip_answer

---- coroutines

skynet.fork = host.fork

function skynet.timeout(ticks, f)
	if state.timer_tracebacks then
		return load_infrequent().traced_timeout(ticks, f)
	end
	return (host_timeout(ticks, f))
end

local function sleep_until(session, token)
	waiting_sessions[token] = session
	local woken = host_suspend(session)
	waiting_sessions[token] = nil
	return woken
end

function skynet.sleep(ticks, token)
	token = token or running()
	assert(waiting_sessions[token] == nil, "the token is in use")
	if sleep_until(host_timer(ticks), token) then
		return "BREAK"
	end
end

function skynet.yield()
	return skynet.sleep(0)
end

function skynet.wait(token)
	token = token or running()
	assert(waiting_sessions[token] == nil, "the token is in use")
	local session = core_genid()
	sleep_until(session, token)
	host_drop_wait(session)
end

function skynet.wakeup(token)
	local session = waiting_sessions[token]
	if session then
		host_wakeup(session)
		return true
	end
end

---- the service and its node

skynet.self, skynet.address, skynet.localname = host.self, host.address, host.localname
skynet.getenv, skynet.starttime, skynet.time = host.getenv, host.starttime, host.time
skynet.newservice = host.newservice

function skynet.uniqueservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GLAUNCH", ...))
	end
	return assert(skynet.call(".service", "lua", "LAUNCH", global, ...))
end

function skynet.exit()
	core_send(".launcher", skynet.PTYPE_LUA, 0, pack("REMOVE", skynet.self(), false))
	core_command("EXIT")
	host_quit()
end

---- start

function skynet.init_service(start)
	local ok, problem = xpcall(function()
		init_all()
		start()
	end, traceback)
	if ok then
		host_started()
	else
		skynet.error("init service failed: " .. tostring(problem))
		host_started(tostring(problem))
		skynet.exit()
	end
end

function skynet.start(start)
	host_start()
	state.start_thread = skynet.timeout(0, function()
		skynet.init_service(start)
		state.start_thread = nil
	end)
end

skynet.dispatch_message = host.dispatch_message

host.handler_unknown(function(...)
	return load_infrequent().unknown(...)
end)

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

---- what is loaded when it is first used

package.loaded["skynet.core"], package.loaded["skyring.host"] = nil, nil

local function load_debug()
	setmetatable(proto, nil)
	require "skynet.debug".init(skynet)
end

-- The first message of the debug console registers the protocol, and later ones go to its handler.
host_handler(skynet.PTYPE_DEBUG, function(...)
	load_debug()
	return proto.debug.dispatch(...)
end, true)

setmetatable(proto, { __index = function(_, key)
	if key == "debug" or key == skynet.PTYPE_DEBUG then
		load_debug()
		return proto.debug
	end
end })

setmetatable(skynet, { __index = function(_, key)
	if key == "response" then
		skynet.response = require "skynet.response"
		return skynet.response
	end
	setmetatable(skynet, nil)
	setmetatable(skynet, { __index = load_infrequent().missing })
	return skynet[key]
end })

return skynet
