-- The module `skynet.socketchannel`: requests over one connection, which is opened again when it breaks.
--
-- With `response` in its description a channel uses sessions: one coroutine reads the answers and passes each to the
-- request with its session. Without, answers arrive in the order of the requests, and each request has a function that
-- reads its answer.
local skynet = require "skynet"
local socket = require "skynet.socket"

local RETRY_PAUSE_MAX = 1000 -- hundredths of a second

local socketchannel = {}

-- The error for a failed connection. Those with a cause are equal to the one without, which users compare with.
local error_meta = {
	__tostring = function(problem)
		return problem.cause and "[Error: socket] " .. problem.cause or "[Error: socket]"
	end,
	__eq = function(one, other)
		return getmetatable(one) == getmetatable(other)
	end,
}
local socket_error = setmetatable({}, error_meta)

local function failure(cause)
	return setmetatable({ cause = cause }, error_meta)
end

local function is_broken(self)
	return failure(("the connection to %s:%s is broken"):format(self.__host, self.__port))
end

socketchannel.error = socket_error

local channel = {}
local channel_meta = { __index = channel }

---- the readers that response functions get

local function checked(read)
	return function(self, ...)
		local result, rest = read(self[1], ...)
		if not result then
			error(socket_error)
		end
		return result, rest
	end
end

local reader_meta = {
	__index = { read = checked(socket.read), readline = checked(socket.readline) },
	__gc = function(reader)
		if reader[1] then
			socket.shutdown(reader[1])
		end
	end,
}

function socketchannel.channel(description)
	local meta = reader_meta
	if description.socket_read or description.socket_readline then
		meta = {
			__index = {
				read = description.socket_read or reader_meta.__index.read,
				readline = description.socket_readline or reader_meta.__index.readline,
			},
			__gc = reader_meta.__gc,
		}
	end
	return setmetatable({
		__host = assert(description.host, "a channel needs a host"),
		__port = description.port,
		__backup = description.backup,
		__auth = description.auth,
		__response = description.response,
		__overload_notify = description.overload,
		__meta = meta,
		__sock = false,
		__closed = false,
		-- The waiting requests: by session, or, without sessions, in order.
		__waiting = {},
		-- While one coroutine connects, the others that wait for the connection.
		__connecting = false,
		__connect_waiters = {},
	}, channel_meta)
end

---- the end of requests and connections

local function finish(waiter, ok, data)
	waiter.done, waiter.ok, waiter.data = true, ok, data
	skynet.wakeup(waiter.co)
end

-- Closes the connection and fails every waiting request.
local function drop(self, problem)
	local sock = self.__sock
	self.__sock = false
	local waiting = self.__waiting
	self.__waiting = {}
	for _, waiter in pairs(waiting) do
		finish(waiter, socket_error, problem)
	end
	if self.__reader_wait then
		local co = self.__reader_wait
		self.__reader_wait = nil
		skynet.wakeup(co)
	end
	if sock then
		local id = sock[1]
		-- Closing waits for the reader, which may be this coroutine.
		skynet.fork(pcall, socket.close, id)
	end
end

local function cause(problem)
	return problem ~= socket_error and problem or nil
end

---- reading answers

local function read_by_session(self, sock)
	while self.__sock == sock do
		local called, session, ok, data, more = pcall(self.__response, sock)
		if self.__sock ~= sock then
			return
		end
		if not called or not session then
			return drop(self, cause(session) or nil)
		end
		local waiter = self.__waiting[session]
		if not waiter then
			skynet.error("socket: unknown session :", session)
		elseif more and ok then
			waiter.parts = waiter.parts or {}
			table.insert(waiter.parts, data)
		else
			self.__waiting[session] = nil
			if ok and waiter.parts then
				table.insert(waiter.parts, data)
				data = waiter.parts
			end
			finish(waiter, ok, data)
		end
	end
end

local function read_parts(response, sock)
	local ok, data, more = response(sock)
	if not (ok and more) then
		return ok, data
	end
	local parts = { data }
	repeat
		ok, data, more = response(sock)
		if not ok then
			return ok, data
		end
		table.insert(parts, data)
	until not more
	return true, parts
end

local function read_in_order(self, sock)
	while self.__sock == sock do
		local waiter = self.__waiting[1]
		if not waiter then
			self.__reader_wait = coroutine.running()
			skynet.wait(self.__reader_wait)
		else
			local called, ok, data = pcall(read_parts, waiter.response, sock)
			if self.__sock ~= sock then
				return
			end
			if not called then
				return drop(self, cause(ok))
			end
			table.remove(self.__waiting, 1)
			finish(waiter, ok, data)
		end
	end
end

---- connecting

local function watch_overload(self, id)
	local notify = self.__overload_notify
	if not notify then
		return
	end
	local overloaded = false
	socket.warning(id, function(_, kilobytes)
		local is_overloaded = kilobytes > 0
		if is_overloaded ~= overloaded then
			overloaded = is_overloaded
			notify(is_overloaded)
		end
	end)
	skynet.fork(notify, false)
end

local function addresses(self)
	local list, known = {}, {}
	local function add(host, port)
		local key = host .. ":" .. tostring(port)
		if not known[key] then
			known[key] = true
			table.insert(list, { host = host, port = port })
		end
	end
	add(self.__host, self.__port)
	for _, backup in ipairs(self.__backup or {}) do
		if type(backup) == "table" then
			add(backup.host, backup.port)
		else
			add(backup, self.__port)
		end
	end
	return list
end

-- Connects to one address and authenticates. Returns true; false and the cause; or nil if `auth` changed the host.
local function connect_to(self, address)
	local id, problem = socket.open(address.host, address.port)
	if not id then
		return false, problem
	end
	if self.__closed then
		socket.close(id)
		return false, "the channel is closed"
	end
	self.__host, self.__port = address.host, address.port
	watch_overload(self, id)
	local sock = setmetatable({ id }, self.__meta)
	self.__sock = sock
	local read = self.__response and read_by_session or read_in_order
	if not self.__response then
		-- With sessions the reader always reads, and detects the end itself.
		socket.onclose(id, function()
			if self.__sock == sock and self.__reader_wait then
				skynet.error("socket closed by peer : ", self.__host, self.__port)
				drop(self)
			end
		end)
	end
	skynet.fork(read, self, sock)
	if not self.__auth then
		return true
	end
	self.__authenticating = coroutine.running()
	local ok, why = pcall(self.__auth, self)
	self.__authenticating = nil
	if ok and self.__sock == sock then
		return true
	end
	if self.__sock == sock then
		drop(self)
	elseif ok then
		-- `auth` has changed the host.
		return nil
	end
	if cause(why) then
		skynet.error("socket: auth failed", why)
	end
	return false, cause(why) or "auth failed"
end

local function connect_once(self)
	local problem
	local tried = {}
	local again = true
	while again and not self.__closed do
		again = false
		-- `auth` may have added hosts or changed the host.
		for _, address in ipairs(addresses(self)) do
			local key = address.host .. ":" .. tostring(address.port)
			if not tried[key] then
				tried[key] = true
				again = true
				local ok, why = connect_to(self, address)
				if ok then
					return true
				elseif ok == nil then
					return connect_once(self)
				end
				problem = why
				break
			end
		end
	end
	return false, problem or "the channel is closed"
end

local function connect(self, once)
	if self.__connecting then
		local co = coroutine.running()
		table.insert(self.__connect_waiters, co)
		skynet.wait(co)
		return
	end
	self.__connecting = true
	local pause, problem = 0, nil
	while not self.__closed do
		local ok, why = connect_once(self)
		if ok then
			if not once then
				skynet.error("socket: connect to", self.__host, self.__port)
			end
			problem = nil
			break
		end
		problem = why
		if once then
			break
		end
		skynet.error("socket: connect", why)
		pause = pause < RETRY_PAUSE_MAX and pause + 100 or 100
		skynet.sleep(pause)
	end
	self.__connecting = false
	local waiters = self.__connect_waiters
	self.__connect_waiters = {}
	for _, co in ipairs(waiters) do
		skynet.wakeup(co)
	end
	return problem
end

-- true: connected; false: closed, or not to be connected; nil: a connection must be opened.
local function state_of(self)
	if self.__sock then
		if socket.disconnected(self.__sock[1]) then
			skynet.error("socket: disconnect detected ", self.__host, self.__port)
			drop(self)
			return self.__authenticating == coroutine.running() and false or nil
		end
		if not self.__authenticating or self.__authenticating == coroutine.running() then
			return true
		end
	end
	if self.__closed then
		return false
	end
end

local function connected(self, once)
	local state = state_of(self)
	if state ~= nil then
		return state
	end
	local problem = connect(self, once)
	state = state_of(self)
	if state == nil then
		skynet.error("Connect failed", problem or "", self.__host, self.__port)
		error(failure(problem))
	end
	return state
end

---- public functions

function channel:connect(once)
	self.__closed = false
	return connected(self, once)
end

local function await(self, response)
	local waiter = { co = coroutine.running() }
	if self.__response then
		assert(self.__waiting[response] == nil, "the session is in use")
		self.__waiting[response] = waiter
	else
		waiter.response = response
		table.insert(self.__waiting, waiter)
		if self.__reader_wait then
			local co = self.__reader_wait
			self.__reader_wait = nil
			skynet.wakeup(co)
		end
	end
	repeat
		skynet.wait(waiter.co)
	until waiter.done
	if waiter.ok == socket_error then
		error(waiter.data or is_broken(self))
	end
	return assert(waiter.ok, waiter.data) and waiter.data
end

function channel:request(request, response, padding)
	assert(connected(self, true), "the channel is closed")
	local id = self.__sock[1]
	local write = padding and socket.lwrite or socket.write
	local written = write(id, request)
	for _, part in ipairs(padding or {}) do
		written = written and write(id, part)
	end
	if not written then
		drop(self)
		error(is_broken(self))
	end
	if response ~= nil then
		return await(self, response)
	end
end

function channel:response(response)
	assert(connected(self), "the channel is closed")
	return await(self, response)
end

function channel:close()
	if not self.__closed then
		self.__closed = true
		drop(self, "channel_closed")
	end
end

function channel:changehost(host, port)
	self.__host = host
	self.__port = port or self.__port
	if not self.__closed then
		drop(self)
	end
end

function channel:changebackup(backup)
	self.__backup = backup
end

return socketchannel
