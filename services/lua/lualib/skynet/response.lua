-- The function `skynet.response`, which is loaded when it is first used: it returns a function that answers the current call
-- later.
local core = require "skynet.core"
local host = require "skyring.host"

local tostring, assert, error = tostring, assert, error

return function(own_pack)
	own_pack = own_pack or core.pack
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
