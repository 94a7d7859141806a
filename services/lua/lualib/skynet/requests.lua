-- Concurrent calls: skynet.request and its select. `skynet` requires this module at the first use.
local core = require "skynet.core"
local host = require "skyring.host"

return function(skynet, before_call)
	local requests = {}
	requests.__index = requests

	function requests:add(request)
		assert(type(request) == "table" and not self._thread, "requests must be added before select")
		self[#self + 1] = request
		return self
	end

	requests.__call = requests.add

	-- Receives the answers in the order of their arrival.
	local function collect(self)
		local function store(session, ok, ...)
			if session == self._timer then
				self._timer = nil
				self.timeout = true
			else
				local request = self._sessions[session]
				if request then
					self._answers[session] = ok and table.pack(...) or false
				end
			end
			skynet.wakeup(self)
		end
		while true do
			store(host.receive())
		end
	end

	function requests:close()
		for session in pairs(self._sessions or {}) do
			host.unwatch(session)
		end
		if self._timer then
			host.unwatch(self._timer)
			self._timer = nil
		end
		if self._thread then
			host.kill(self._thread)
			self._thread = nil
		end
		self._count = 0
	end

	requests.__close = requests.close

	local function step(self)
		local failed = table.remove(self._failed)
		if failed then
			return failed
		end
		local session, answer = next(self._answers)
		if session == nil then
			if self._count == 0 or self.timeout then
				return
			end
			skynet.wait(self)
			if self.timeout then
				return
			end
			session, answer = next(self._answers)
			if session == nil then
				return
			end
		end
		local request = self._sessions[session]
		self._count = self._count - 1
		self._answers[session] = nil
		self._sessions[session] = nil
		return request, answer or nil
	end

	function requests:select(ticks)
		assert(self._thread == nil, "select can be called only once")
		self._sessions, self._answers, self._failed, self._count = {}, {}, {}, 0
		self._thread = host.thread(collect, self)
		for _, request in ipairs(self) do
			local p = skynet._proto[request[2]] or error("there is no protocol " .. tostring(request[2]))
			assert(p.unpack == skynet.unpack, "select requires a protocol that uses skynet.unpack")
			before_call(request[1])
			local session = core.send(request[1], p.id, nil, p.pack(table.unpack(request, 3, request.n)))
			if session then
				self._sessions[session] = request
				self._count = self._count + 1
				host.watch(session, self._thread)
			else
				table.insert(self._failed, request)
			end
		end
		if ticks then
			self._timer = host.timer(ticks)
			host.watch(self._timer, self._thread)
		end
		return step, self, nil, self
	end

	return function(first)
		local self = setmetatable({}, requests)
		if first then
			return self:add(first)
		end
		return self
	end
end
