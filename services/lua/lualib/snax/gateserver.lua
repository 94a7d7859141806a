-- The module `snax.gateserver`: the base of a gate, a service that accepts TCP clients. Their packages are preceded by a
-- length of two bytes. The functions of `handler` process connections, packages and commands.
local skynet = require "skynet"
local netpack = require "skynet.netpack"
local driver = require "skynet.socketdriver"

local CLIENTS_MAX_DEFAULT = 1024

local gateserver = {}

local listener
local clients_max, clients = CLIENTS_MAX_DEFAULT, 0
-- By number: true while a client is connected; false when the client has ended and the socket is not closed yet.
local connections = {}
local queue

function gateserver.openclient(fd)
	if connections[fd] then
		driver.start(fd)
	end
end

function gateserver.closeclient(fd)
	if connections[fd] ~= nil then
		connections[fd] = nil
		driver.close(fd)
	end
end

function gateserver.start(handler)
	assert(handler.message, "a gate's handler requires a function message")
	assert(handler.connect, "a gate's handler requires a function connect")

	local opening
	local commands = {}

	function commands.open(source, conf)
		assert(not listener, "the gate is already open")
		local address, port = conf.address or "0.0.0.0", conf.port
		clients_max = conf.maxclient or CLIENTS_MAX_DEFAULT
		skynet.error(("Listen on %s:%d"):format(address, port))
		listener = driver.listen(address, port, conf.backlog)
		opening = { co = coroutine.running() }
		skynet.wait(opening.co)
		local opened = opening
		opening = nil
		if opened.problem then
			listener = nil
			error(opened.problem, 0)
		end
		conf.address, conf.port = opened.address, opened.port
		driver.start(listener)
		if handler.open then
			return handler.open(source, conf)
		end
	end

	function commands.close()
		assert(listener, "the gate is not open")
		driver.close(listener)
	end

	local function message(fd, msg, sz)
		if connections[fd] then
			handler.message(fd, msg, sz)
		else
			netpack.tostring(msg, sz)
			skynet.error(("Drop message from fd (%d) : %d bytes"):format(fd, sz))
		end
	end

	local events = { data = message }

	-- A handler may wait, so another coroutine is ready to process the packages after it.
	local function process_all()
		local fd, msg, sz = netpack.pop(queue)
		if fd then
			skynet.fork(process_all)
			repeat
				message(fd, msg, sz)
				fd, msg, sz = netpack.pop(queue)
			until not fd
		end
	end

	events.more = process_all

	function events.open(fd, address)
		clients = clients + 1
		if clients > clients_max then
			driver.shutdown(fd)
			return
		end
		connections[fd] = true
		handler.connect(fd, address)
	end

	local function remove_client(fd)
		clients = clients - 1
		local connection = connections[fd]
		if connection then
			connections[fd] = false
		end
		return connection
	end

	function events.close(fd)
		if fd == listener then
			listener = nil
			return
		end
		remove_client(fd)
		if handler.disconnect then
			handler.disconnect(fd)
		end
	end

	function events.error(fd, problem)
		if fd == listener then
			if opening then
				opening.problem = problem
				skynet.wakeup(opening.co)
			else
				skynet.error("gateserver accept error:", problem)
			end
			return
		end
		-- No event `close` follows an error.
		remove_client(fd)
		connections[fd] = nil
		driver.shutdown(fd)
		if handler.error then
			handler.error(fd, problem)
		end
	end

	function events.warning(fd, kilobytes)
		if handler.warning then
			handler.warning(fd, kilobytes)
		end
	end

	function events.init(fd, address, port)
		if opening and fd == listener then
			opening.address, opening.port = address, port
			skynet.wakeup(opening.co)
		end
	end

	skynet.register_protocol {
		name = "socket",
		id = skynet.PTYPE_SOCKET,
		unpack = function(msg, sz)
			return netpack.filter(queue, msg, sz)
		end,
		dispatch = function(_, _, filled, event, ...)
			queue = filled
			if event then
				events[event](...)
			end
		end,
	}

	local function init()
		skynet.dispatch("lua", function(_, source, command, ...)
			local run = commands[command]
			if run then
				skynet.ret(skynet.pack(run(source, ...)))
			else
				skynet.ret(skynet.pack(handler.command(command, source, ...)))
			end
		end)
	end

	if handler.embed then
		init()
	else
		skynet.start(init)
	end
end

return gateserver
