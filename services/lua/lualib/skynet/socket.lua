-- The module `skynet.socket`: sockets whose reads suspend the coroutine until enough data has arrived.
--
-- Received bytes are in the socket's buffer until they are read. If the buffer holds more than PAUSE_BYTES and no
-- coroutine reads, the socket is paused, so that the peer must wait. While a coroutine waits for a line or for the end
-- of the stream, the buffer may grow to the socket's limit; past it the socket is closed.
local skynet = require "skynet"
local driver = require "skynet.socketdriver"

local PAUSE_BYTES = 128 * 1024
local LIMIT_DEFAULT = 64 * 1024 * 1024
-- Reads in a row that were satisfied from the buffer, after which a reader lets others go on: a peer that sends many small
-- requests ahead must not hold the shard until the buffer is empty.
local READS_MAX = 64

local DATA, CONNECT, CLOSE, ACCEPT, ERROR, UDP, WARNING = 1, 2, 3, 4, 5, 6, 7

local _, socket = ...

-- By number: the sockets of this service. `wanted` is what a reader waits for: a number of bytes, a separator, or true
-- for the end of the stream.
local pool = {}
local close_callbacks = {}

local function wake(s)
	local reader = s.reader
	if reader then
		s.reader = nil
		skynet.wakeup(reader)
	end
end

local function wait(s)
	assert(not s.reader, "another coroutine already waits for this socket")
	s.reader, s.reads = coroutine.running(), 0
	if s.paused then
		s.paused = false
		driver.start(s.id)
	end
	skynet.wait(s.reader)
	-- The coroutine that closes the socket waits until the reader has taken the received bytes.
	if s.closer then
		skynet.wakeup(s.closer)
	end
end

local function pause(s)
	if not s.paused then
		s.paused = true
		driver.pause(s.id)
	end
end

local handlers = {}

handlers[DATA] = function(id, size, data)
	local s = pool[id]
	if not (s and s.buffer) then
		driver.drop(data, size)
		return
	end
	local held = driver.push(s.buffer, s.nodes, data, size)
	local wanted = s.wanted
	local kind = type(wanted)
	local satisfied
	if kind == "number" then
		satisfied = held >= wanted
	else
		if kind == "string" then
			satisfied = driver.readline(s.buffer, nil, wanted)
		end
		local limit = s.limit or wanted and LIMIT_DEFAULT
		if not satisfied and limit and held > limit then
			skynet.error(("socket buffer overflow: fd=%d size=%d"):format(id, held))
			driver.close(id)
			return
		end
	end
	if satisfied then
		s.wanted = nil
		if held > PAUSE_BYTES then
			pause(s)
		end
		wake(s)
	elseif not wanted and held > PAUSE_BYTES then
		pause(s)
	end
end

handlers[CONNECT] = function(id, port, address)
	local s = pool[id]
	-- A paused socket that is started again sends this event too.
	if s and not s.connected then
		s.connected = true
		if s.listens then
			s.address, s.port = address, port
		end
		wake(s)
	end
end

handlers[CLOSE] = function(id)
	local s = pool[id]
	if s then
		s.connected = false
		wake(s)
	else
		driver.close(id)
	end
	local callback = close_callbacks[id]
	if callback then
		close_callbacks[id] = nil
		callback(id)
	end
end

handlers[ACCEPT] = function(id, new_id, address)
	local s = pool[id]
	if s and s.callback then
		s.callback(new_id, address)
	else
		driver.close(new_id)
	end
end

handlers[ERROR] = function(id, _, problem)
	local s = pool[id]
	if not s then
		driver.shutdown(id)
		skynet.error("socket: error on unknown", id, problem)
		return
	end
	if s.callback then
		skynet.error("socket: error on", id, problem)
		return
	end
	if s.connected then
		skynet.error("socket: error on", id, problem)
	else
		s.problem = problem
	end
	s.connected = false
	driver.shutdown(id)
	wake(s)
end

handlers[UDP] = function(id, size, data, from)
	local s = pool[id]
	if not (s and s.callback) then
		driver.drop(data, size)
		return
	end
	local text = skynet.tostring(data, size)
	skynet.trash(data, size)
	s.callback(text, from)
end

handlers[WARNING] = function(id, kilobytes)
	local s = pool[id]
	if not s then
		return
	elseif s.on_warning then
		s.on_warning(id, kilobytes)
	elseif kilobytes > 0 then
		skynet.error(("WARNING: %d K bytes need to send out (fd = %d)"):format(kilobytes, id))
	end
end

skynet.register_protocol {
	name = "socket",
	id = skynet.PTYPE_SOCKET,
	unpack = driver.unpack,
	dispatch = function(_, _, kind, ...)
		handlers[kind](...)
	end,
}

---- opening

local function open(id, callback)
	assert(not close_callbacks[id], "socket has onclose callback")
	local before = pool[id]
	assert(not before or before.listens, "socket is not closed")
	local s = {
		id = id,
		callback = callback,
		buffer = not callback and driver.buffer() or nil,
		nodes = {},
		connecting = true,
	}
	pool[id] = s
	wait(s)
	s.connecting = nil
	if s.connected then
		return id
	end
	pool[id] = nil
	return nil, s.problem
end

function socket.open(address, port)
	return open(driver.connect(address, port))
end

function socket.bind(descriptor)
	return open(driver.bind(descriptor))
end

function socket.stdin()
	return socket.bind(0)
end

function socket.start(id, callback)
	driver.start(id)
	return open(id, callback)
end

function socket.listen(host, port, backlog)
	local id = driver.listen(host, port, backlog)
	local s = { id = id, listens = true }
	pool[id] = s
	wait(s)
	if not s.connected then
		pool[id] = nil
		error(s.problem or "Listen error", 2)
	end
	return id, s.address, s.port
end

---- closing

function socket.pause(id)
	local s = pool[id]
	if s then
		pause(s)
	end
end

function socket.shutdown(id)
	if pool[id] then
		driver.shutdown(id)
	end
end

function socket.close_fd(id)
	assert(pool[id] == nil, "Use socket.close instead")
	driver.close(id)
end

function socket.close(id)
	local s = pool[id]
	if not s then
		return
	end
	driver.close(id)
	if s.connected then
		s.paused = false
		if s.reader then
			assert(not s.closer, "the socket is already being closed")
			s.closer = coroutine.running()
			skynet.wait(s.closer)
		else
			wait(s)
		end
		s.connected = false
	end
	pool[id] = nil
end

-- Transfers a socket to another service, which must start it.
function socket.abandon(id)
	local s = pool[id]
	if s then
		s.connected = false
		wake(s)
		close_callbacks[id] = nil
		pool[id] = nil
	end
end

---- reading

local function open_socket(id)
	return assert(pool[id], "the socket is not open")
end

-- The socket that is to be read.
local function begin_read(id)
	local s = open_socket(id)
	s.reads = (s.reads or 0) + 1
	if s.reads > READS_MAX then
		s.reads = 0
		skynet.yield()
	end
	return s
end

local function read_rest(s)
	return false, driver.readall(s.buffer, s.nodes)
end

local function wait_for(s, wanted)
	assert(not s.wanted, "another coroutine already reads this socket")
	s.wanted = wanted
	wait(s)
	s.wanted = nil
end

function socket.read(id, size)
	local s = begin_read(id)
	if size == nil then
		local text = driver.readall(s.buffer, s.nodes)
		if text ~= "" then
			return text
		end
		if not s.connected then
			return false, text
		end
		wait_for(s, 0)
		text = driver.readall(s.buffer, s.nodes)
		if text ~= "" then
			return text
		end
		return false, text
	end
	local text = driver.pop(s.buffer, s.nodes, size)
	if text then
		return text
	end
	if s.closer or not s.connected then
		return read_rest(s)
	end
	wait_for(s, size)
	text = driver.pop(s.buffer, s.nodes, size)
	if text then
		return text
	end
	return read_rest(s)
end

function socket.readall(id)
	local s = open_socket(id)
	if s.connected then
		wait_for(s, true)
		return driver.readall(s.buffer, s.nodes)
	end
	local text = driver.readall(s.buffer, s.nodes)
	return text ~= "" and text
end

function socket.readline(id, separator)
	separator = separator or "\n"
	local s = begin_read(id)
	local line = driver.readline(s.buffer, s.nodes, separator)
	if line then
		return line
	end
	if not s.connected then
		return read_rest(s)
	end
	wait_for(s, separator)
	line = driver.readline(s.buffer, s.nodes, separator)
	if line then
		return line
	end
	return read_rest(s)
end

-- Waits until the socket has data to read.
function socket.block(id)
	local s = pool[id]
	if not s or not s.connected then
		return false
	end
	wait_for(s, 0)
	return s.connected
end

function socket.limit(id, limit)
	open_socket(id).limit = limit
end

---- writing

socket.write = driver.send
socket.lwrite = driver.lsend
socket.header = driver.header

function socket.warning(id, callback)
	open_socket(id).on_warning = callback
end

---- state

function socket.invalid(id)
	return pool[id] == nil
end

function socket.disconnected(id)
	local s = pool[id]
	if s then
		return not (s.connected or s.connecting)
	end
end

function socket.onclose(id, callback)
	close_callbacks[id] = callback
end

socket.netstat = driver.info
socket.resolve = driver.resolve

---- UDP

local function add_datagram_socket(id, callback)
	assert(not pool[id], "socket is not closed")
	pool[id] = { id = id, connected = true, callback = callback, is_datagram = true }
	return id
end

function socket.udp(callback, host, port)
	return add_datagram_socket(driver.udp(host, port), callback)
end

function socket.udp_listen(address, port, callback)
	return add_datagram_socket(driver.udp_listen(address, port), callback)
end

function socket.udp_dial(address, port, callback)
	return add_datagram_socket(driver.udp_dial(address, port), callback)
end

function socket.udp_connect(id, address, port, callback)
	local s = pool[id]
	if not s then
		add_datagram_socket(id, callback)
	else
		assert(s.is_datagram, "the socket is not UDP")
		s.callback = callback or s.callback
	end
	driver.udp_connect(id, address, port)
end

socket.sendto = driver.udp_send
socket.udp_address = driver.udp_address

return setmetatable(socket, { __index = function(_, key)
	require "skynet.missing"("skynet.socket", key)
end })
