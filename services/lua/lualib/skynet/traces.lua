-- Traces of messages through services. `skynet` requires this module when the first trace is requested.
return function(skynet, host, core)
	local M = {
		-- By source: the tag of its next request, which arrived in the message before it.
		next_of = {},
	}
	local tags = setmetatable({}, { __mode = "k" })
	local count = 0

	function M.tag()
		local co = host.running()
		return co and tags[co]
	end

	function M.begin(info)
		local co = assert(host.running(), "only a message can be traced")
		skynet.error("TRACE", tags[co])
		if tags[co] == false then
			return
		end
		count = count + 1
		local tag = (":%08x-%d"):format(skynet.self(), count)
		tags[co] = tag
		core.trace(tag, info and "trace " .. info or "trace")
	end

	function M.before_call(addr)
		local tag = M.tag()
		if tag then
			core.trace(tag, "call", 3)
			core.send(addr, skynet.PTYPE_TRACE, 0, tag)
		end
		return tag
	end

	-- Passes on the values of the answer to a call.
	function M.resume(tag, ...)
		core.trace(tag, "resume")
		return ...
	end

	for _, name in ipairs { "ret", "retpack" } do
		local answer = skynet[name]
		skynet[name] = function(...)
			local tag = M.tag()
			if tag then
				core.trace(tag, "response")
			end
			return answer(...)
		end
	end

	-- Sets a handler for the messages of a protocol that also handles their tags.
	function M.handle(p, f)
		host.handler(p.id, function(session, source, _, msg, sz)
			local co = host.running()
			local tag = M.next_of[source]
			M.next_of[source] = nil
			if p.trace == false then
				tags[co] = false
			elseif tag then
				core.trace(tag, "request")
				tags[co] = tag
			else
				-- Its coroutine may have handled a traced message before.
				tags[co] = nil
				if p.trace then
					M.begin()
				end
			end
			local function finish(ok, ...)
				local own = tags[co]
				tags[co] = nil
				if own then
					core.trace(own, ok and "end" or "error")
				end
				if not ok then
					error((...), 0)
				end
			end
			return finish(xpcall(function(...)
				return f(session, source, ...)
			end, debug.traceback, p.unpack(msg, sz)))
		end)
	end

	-- Handlers that are already set must handle tags from now on.
	for _, p in pairs(skynet._proto) do
		if p.dispatch and p.id ~= skynet.PTYPE_ERROR then
			M.handle(p, p.dispatch)
		end
	end
	return M
end
