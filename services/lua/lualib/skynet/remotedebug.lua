-- The debugger of a service: the console command `debug`.
--
-- A session reads the user's lines from a channel and writes to the user's socket. watch(protocol [, condition]) breaks on
-- the next message of the protocol for which condition(session, source, ...) is true: the coroutine that handles it stops
-- at its first line. Other messages are handled meanwhile. `s` steps to the next line, also into functions; `n` steps over
-- them; `c` continues. Any other line is evaluated: in the stopped function, or else with the globals of the service.
--
-- The session ends with `cont`, and when the console has dropped its end of the channel. Then all stopped coroutines
-- continue, and nothing is watched any more.
local skynet = require "skynet"
local host = require "skyring.host"
local channels = require "skynet.debugchannel"
local driver = require "skynet.socketdriver"
local evaluate = require "skynet.injectcode"

local sethook = channels.sethook

-- The time between two looks at the channel, in hundredths of a second.
local POLL_TICKS = 2

local own_source = debug.getinfo(1, "S").short_src

local session

-- Functions of the library, in which a step never ends.
local function is_of_library(info)
	return info.short_src == own_source or info.source:sub(1, 9) == "@skyring/"
end

local function send(text)
	-- The client may have disconnected; the channel tells.
	pcall(driver.send, session.fd, text)
end

local function print_line(...)
	local texts = table.pack(...)
	for i = 1, texts.n do
		texts[i] = tostring(texts[i])
	end
	send(table.concat(texts, "\t") .. "\n")
end

local function show_prompt()
	local stop = session.stop
	if stop and stop.line then
		send(("%s(%d)>"):format(stop.file, stop.line))
	else
		send((":%08x>"):format(skynet.self()))
	end
end

local function depth_of(level)
	local depth = 0
	while debug.getinfo(level + depth, "l") do
		depth = depth + 1
	end
	return depth
end

-- The hook of a coroutine that is stepped: true stops it at this line.
local function on_line(_, line)
	local stop = session and session.stop
	if not stop or stop.co ~= coroutine.running() then
		sethook()
		return false
	end
	local info = debug.getinfo(2, "S")
	if is_of_library(info) then
		return false
	end
	local depth = depth_of(3)
	if stop.depth_max and depth > stop.depth_max then
		return false
	end
	stop.file, stop.line, stop.depth = info.short_src, line, depth
	session.prompts = true
	return true
end

local function end_stepping(co)
	sethook()
	if session and session.stop and session.stop.co == co then
		session.stop = nil
		session.prompts = true
	end
end

-- Whether the service still has the coroutine: one that failed or was killed is gone.
local function is_alive(co)
	return host.waiting_session(co) ~= nil
end

---- watches

local function unwatch(name)
	local watch = session.watches[name]
	session.watches[name] = nil
	if watch and skynet.dispatch(name) == watch.handler then
		skynet.dispatch(name, watch.original)
	end
end

local function watch(name, condition)
	if not (skynet._proto[name] and skynet.dispatch(name)) then
		error(("the service has no handler for the protocol %s"):format(tostring(name)), 0)
	end
	if condition ~= nil and type(condition) ~= "function" then
		error("a condition is a function", 0)
	end
	unwatch(name)
	local original = skynet.dispatch(name)

	local function finish(co, ...)
		end_stepping(co)
		return ...
	end
	local function handler(...)
		if not session or session.stop then
			return original(...)
		end
		if condition then
			local ok, result = pcall(condition, ...)
			if not ok then
				print_line(result)
				session.prompts = true
			end
			if not (ok and result) then
				return original(...)
			end
		end
		unwatch(name)
		local co = coroutine.running()
		session.stop = { co = co }
		sethook(on_line, "l")
		return finish(co, original(...))
	end
	session.watches[name] = { handler = handler, original = original }
	skynet.dispatch(name, handler)
	return ("watch %s"):format(name)
end

---- commands

local function continue(depth_max)
	local stop = session.stop
	stop.line, stop.depth_max = nil, depth_max
	channels.resume(stop.co)
end

local command = {}

function command.s()
	continue(nil)
end

function command.n()
	continue(session.stop.depth)
end

function command.c()
	local co = session.stop.co
	sethook(co)
	continue(nil)
	session.stop = nil
	session.prompts = true
end

local function show(ok, ...)
	if not ok then
		print_line((...))
	elseif select("#", ...) > 0 then
		print_line(...)
	end
end

local function run(line)
	local stop = session.stop
	local is_step = command[line]
	if stop and stop.line then
		if is_step then
			return is_step()
		end
		show(evaluate(line, stop.co, 0, { print = print_line, _CO = stop.co }))
	elseif is_step then
		print_line(stop and "the coroutine runs or waits, and has not reached its next line"
			or "no coroutine is stopped: watch(\"lua\") stops the one that handles the next message")
	else
		local extra = session.extra
		show(evaluate(line, nil, nil, extra))
	end
	if session then
		session.prompts = true
	end
end

---- the session

local function finish_session()
	for name in pairs(session.watches) do
		unwatch(name)
	end
	local ended = session
	session = nil
	if ended.stop and is_alive(ended.stop.co) then
		sethook(ended.stop.co)
		channels.resume(ended.stop.co)
	end
	channels.release(ended.channel)
	skynet.error "Leave debug mode"
	ended.answer(true)
end

local function poll()
	local stop = session.stop
	if stop and not is_alive(stop.co) then
		session.stop = nil
		print_line "the coroutine ended with an error: see the log"
		session.prompts = true
	end
	while session do
		if session.prompts then
			session.prompts = false
			show_prompt()
		end
		local line = session.channel:read()
		if line == "cont" or line == nil and session.channel:is_abandoned() then
			return finish_session()
		elseif line == nil then
			return
		elseif line ~= "" then
			run(line)
		else
			session.prompts = true
		end
		-- A step takes place between two looks at the channel.
		if not (session and session.prompts) then
			return
		end
	end
end

local M = {}

-- Begins a session. The current call is answered when it ends.
function M.start(fd, handle)
	if session and session.channel:is_abandoned() then
		finish_session()
	end
	if session then
		error("the service is being debugged already: end that session with cont", 0)
	end
	local channel = channels.connect(handle)
	local extra = { print = print_line, watch = watch, skynet = skynet }
	local answer = skynet.response()
	session = { fd = fd, channel = channel, answer = answer, watches = {}, extra = extra, prompts = true }
	skynet.error "Enter debug mode"
	local own = session
	skynet.fork(function()
		while session == own do
			local ok, problem = pcall(poll)
			if not ok and session == own then
				print_line(problem)
			end
			skynet.sleep(POLL_TICKS)
		end
	end)
end

return M
