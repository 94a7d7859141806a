-- The debug console: commands about the services of the node, for `nc HOST PORT` and for HTTP.
--
-- debug_console [ADDRESS] PORT. The commands and the form of their output are Skynet's. Over HTTP the path is the command
-- (GET /stat), or the body is (POST /).
--
-- Whoever reaches the port controls the node, so the address is 127.0.0.1 by default.
local skynet = require "skynet.manager"
local core = require "skynet.core"
local host = require "skyring.host"
local socket = require "skynet.socket"
local connections = require "skynet.console.connection"
local debugger = require "skynet.console.debugger"
local output = require "skynet.console.output"
local http = require "skynet.console.http"

-- Most clients at a time.
local CLIENTS_MAX = 64
-- Most bytes of a line, and of the head and body of a request.
local LINE_BYTES_MAX = 64 * 1024
-- Most bytes of a file to inject.
local FILE_BYTES_MAX = 1024 * 1024
-- How long a client may be silent before it is greeted, in hundredths of a second: a client of HTTP speaks first.
local GREETING_TICKS = 10
-- How long `stat`, `mem` and `gc` wait for the services, in hundredths of a second, unless they are told otherwise.
local ANSWER_TICKS = 300
-- How long a command that only sends waits to learn that its service does not exist, in hundredths of a second.
local ABSENT_TICKS = 20

local arguments = table.pack(...)
local address = arguments.n >= 2 and arguments[1] or "127.0.0.1"
local port = tonumber(arguments[arguments.n])
if arguments.n > 2 or not port then
	error("debug_console expects [ADDRESS] PORT", 0)
end

-- By name: the function, its arguments and what it does. A function that takes the rest of the line as it is, or the
-- socket, gets them as fields of its first argument.
local commands = {}

local function define(name, usage, help, f)
	commands[name] = { usage = usage, help = help, run = f }
end

---- arguments

local function need(value, what)
	return value or error("Need " .. what, 0)
end

local function address_of(text)
	need(text, "an address")
	if text:sub(1, 1) == "." then
		return skynet.localname(text) or error("Not a valid name", 0)
	end
	local number = tonumber((text:gsub("^:", "")), 16)
	if not number or number <= 0 or number > 0xffffffff then
		error("Need an address", 0)
	end
	return number
end

local function ticks_of(text)
	if text == nil then
		return ANSWER_TICKS
	end
	local ticks = math.tointeger(tonumber(text))
		or error(("Need a time in hundredths of a second, a whole number, not %s"):format(text), 0)
	if ticks > 0 then
		return ticks
	end
end

local function integer_of(text, what)
	if text == nil then
		return nil
	end
	return math.tointeger(tonumber(text)) or error(("Need %s, not %s"):format(what, text), 0)
end

local function switch_of(text)
	return text == "on" or text == "true"
end

local function started(launch, name, ...)
	need(name, "the name of a service")
	local ok, address_started = pcall(launch, name, ...)
	if not ok then
		error("Failed: " .. tostring(address_started), 0)
	elseif not address_started then
		return "Exit"
	end
	return { [skynet.address(address_started)] = name }
end

local function debug_call(text, ...)
	return skynet.call(address_of(text), "debug", ...)
end

-- The service at an address, for commands that get no answer from it: an error if it does not exist. One that is busy
-- exists.
local function existing(text)
	local target, waiting, problem = address_of(text), {}, nil
	skynet.fork(function()
		local ok, result = pcall(skynet.call, target, "debug", "PING")
		result = tostring(result)
		problem = not ok and result:find "^no%-such%-service" and result or nil
		skynet.wakeup(waiting)
	end)
	skynet.sleep(ABSENT_TICKS, waiting)
	return problem and error(problem, 0) or target
end

---- services

define("help", nil, "This help message", function()
	local list = {}
	for name, command in pairs(commands) do
		list[name] = (command.usage and command.usage .. " : " or "") .. command.help
	end
	return list
end)

define("list", nil, "List all the services", function()
	return skynet.call(".launcher", "lua", "LIST")
end)

define("stat", "stat [ticks]", "Show tasks, messages and time of all services", function(ticks)
	return skynet.call(".launcher", "lua", "STAT", ticks_of(ticks))
end)

define("mem", "mem [ticks]", "Show the memory of all services", function(ticks)
	return skynet.call(".launcher", "lua", "MEM", ticks_of(ticks))
end)

define("gc", "gc [ticks]", "Collect the garbage of all services", function(ticks)
	return skynet.call(".launcher", "lua", "GC", ticks_of(ticks))
end)

define("start", "start name ...", "Start a service", function(...)
	return started(skynet.newservice, ...)
end)

define("log", "log name ...", "Start a service whose messages are logged", function(...)
	return started(function(...)
		return skynet.call(".launcher", "lua", "LOGLAUNCH", "snlua", ...)
	end, ...)
end)

define("snax", "snax name ...", "Start a snax service", function(...)
	return started(function(...)
		return require "skynet.snax".newservice(...).handle
	end, ...)
end)

define("service", nil, "List the unique services", function()
	return skynet.call(".service", "lua", "LIST")
end)

define("exit", "exit address", "Ask a service to exit", function(text)
	skynet.send(existing(text), "debug", "EXIT")
end)

define("kill", "kill address", "End a service", function(text)
	return skynet.call(".launcher", "lua", "KILL", existing(text))
end)

define("clearcache", nil, "Forget compiled Lua files, so that the next services load them anew", function()
	require "skynet.codecache".clear()
end)

---- one service

define("info", "info address ...", "Show what the service itself tells", function(text, ...)
	return debug_call(text, "INFO", ...)
end)

define("task", "task address [session]", "Show the waiting coroutines of a service", function(text, session)
	return debug_call(text, "TASK", integer_of(session, "a session, a whole number"))
end)

define("uniqtask", "uniqtask address", "Show them by place", function(text)
	return debug_call(text, "UNIQTASK")
end)

define("killtask", "killtask address thread", "End a coroutine, named as in task", function(text, thread)
	return debug_call(text, "KILLTASK", need(thread, "a thread"))
end)

define("ping", "ping address", "Show how long a service takes to answer, in hundredths of a second", function(text)
	local begun = skynet.now()
	debug_call(text, "PING")
	return tostring(skynet.now() - begun)
end)

define("dbgcmd", "dbgcmd address command ...", "Send a command of the protocol debug", function(text, name, ...)
	return debug_call(text, need(name, "a command"), ...)
end)

define("inject", "inject address file.lua ...", "Run a file in a service", function(text, name, ...)
	local target = address_of(text)
	-- Opening a pipe would block the shard until somebody writes to it.
	local is_file, cause = host.is_file(need(name, "a file"))
	if not is_file then
		error(("Can't open %s: %s"):format(name, cause), 0)
	end
	local file, problem = io.open(name, "rb")
	if not file then
		error("Can't open " .. problem, 0)
	end
	local source = file:read(FILE_BYTES_MAX + 1) or ""
	file:close()
	if #source > FILE_BYTES_MAX then
		error(("%s has more than %d bytes"):format(name, FILE_BYTES_MAX), 0)
	end
	local ok, printed = skynet.call(target, "debug", "RUN", source, name, ...)
	if ok == false then
		error(printed, 0)
	end
	return printed
end)

define("call", "call address values", "Call a service with values in Lua's notation: call :8 \"get\", 1", function(line)
	local target = address_of(line.words[2])
	local text = line.text:match "%S+%s+%S+%s+(.+)" or error("need arguments", 0)
	local values = load("return " .. text, "=console", "t", {}) or error("Invalid arguments", 0)
	local packed = table.pack(pcall(values))
	if not packed[1] then
		error(packed[2], 0)
	end
	return table.pack(skynet.call(target, "lua", table.unpack(packed, 2, packed.n)))
end)
commands.call.takes_line = true

define("debug", "debug address", "Step through a service; end with cont", function(line)
	debugger.run(line, address_of(line.words[2]))
end)
commands.debug.takes_line = true

define("trace", "trace address [protocol] [on|off]", "Trace the messages of a service", function(text, protocol, flag)
	if flag ~= nil then
		flag = switch_of(flag)
	elseif protocol == "on" or protocol == "off" then
		protocol = switch_of(protocol)
	end
	debug_call(text, "TRACELOG", protocol, flag)
end)

define("logon", "logon address", "Log the messages of a service to a file", function(text)
	core.command("LOGON", skynet.address(existing(text)))
end)

define("logoff", "logoff address", "End that", function(text)
	core.command("LOGOFF", skynet.address(existing(text)))
end)

define("signal", "signal address [0]", "End a handler that does not return", function(text, signal)
	local number = integer_of(signal, "the number of a signal")
	core.command("SIGNAL", skynet.address(existing(text)) .. (number and " " .. number or ""))
end)

---- the node

define("netstat", nil, "List the sockets of services", function()
	local list = socket.netstat()
	for _, info in ipairs(list) do
		output.describe_socket(info)
	end
	return list
end)

define("cmem", nil, "Show the memory of each Lua state, and of the process, in bytes", function()
	local memory = require "skynet.memory"
	local list = { total = memory.total() }
	for handle, bytes in pairs(memory.info()) do
		list[skynet.address(handle)] = bytes
	end
	return list
end)

define("shrtbl", nil, "Show the table of shared short strings", function()
	error("services do not share strings here: there is no such table", 0)
end)

define("getenv", "getenv name", "Show a key of the config", function(name)
	return { [need(name, "a name")] = tostring(skynet.getenv(name)) }
end)

define("setenv", "setenv name value", "Add a key", function(name, value)
	if skynet.getenv(need(name, "a name")) then
		error("the key is already set: " .. name, 0)
	end
	return skynet.setenv(name, need(value, "a value"))
end)

-- Commands of an allocator (jemalloc) that this program does not use.
for name, usage in pairs { jmem = "jmem", dumpheap = "dumpheap", profactive = "profactive [on|off]" } do
	define(name, usage, "Needs jemalloc, which this program does not use", function()
		error(("%s needs jemalloc, which this program does not use; cmem shows its memory"):format(name), 0)
	end)
end

---- clients

local clients = 0

-- Runs a line. `connection` is nil over HTTP.
local function run(line, print, connection)
	local words = {}
	for word in line:gmatch "%S+" do
		words[#words + 1] = word
	end
	local command = commands[words[1]]
	if not command then
		print "Invalid command, type help for command list"
		print "<CMD Error>"
		return
	end
	local ok, result
	if command.takes_line then
		ok, result = pcall(command.run, { text = line, words = words, connection = connection })
	else
		ok, result = pcall(command.run, table.unpack(words, 2))
	end
	if connection and connection.is_answered then
		-- A session of the debugger has ended by itself, and said so.
		connection.is_answered = nil
		return
	end
	if not ok then
		print(result)
		print "<CMD Error>"
		return
	end
	if type(result) == "table" then
		output.list(print, result)
	elseif result ~= nil then
		print(result)
	end
	print "<CMD OK>"
end

-- Greets the client, unless its first line begins a request of HTTP, and handles its lines.
local function serve(connection)
	local client = connection.socket
	local greeted = false
	local function print(...)
		socket.write(client, output.line(...))
	end
	local function greet()
		if not greeted then
			greeted = true
			print "Welcome to skynet console"
		end
	end
	skynet.timeout(GREETING_TICKS, function()
		if not socket.invalid(client) and not greeted then
			greet()
		end
	end)
	connection.print = print
	local is_first = true
	while true do
		-- A session of the debugger that ended by itself leaves the line that it had read.
		local line = connection.next_line or connection.read()
		connection.next_line = nil
		if not line then
			return
		end
		if is_first and http.is_request(line) then
			local was_greeted = greeted
			greeted = true
			socket.limit(client, LINE_BYTES_MAX)
			return http.answer(client, line, LINE_BYTES_MAX, not was_greeted, function(text, http_print)
				run(text, http_print)
			end)
		end
		is_first = false
		greet()
		if line ~= "" then
			run(line, print, connection)
		end
	end
end

local function accept(client, from)
	if clients >= CLIENTS_MAX then
		skynet.error(("%s is turned away: the console has %d clients"):format(from, clients))
		socket.close_fd(client)
		return
	end
	clients = clients + 1
	connections.serve(client, from, LINE_BYTES_MAX, serve, function()
		clients = clients - 1
	end)
end

skynet.start(function()
	local listener, bound_address, bound_port = socket.listen(address, port)
	skynet.error(("Start debug console at %s:%d"):format(bound_address, bound_port))
	socket.start(listener, accept)
end)
