-- The module `skyring.trace`: the traces of requests over HTTP, by their header `traceparent`.
local core = require "skyring.trace.core"
local await = require("skyring.host").await

local trace = {}

-- The value of the header for a request that the running code makes; nil if the code belongs to no trace.
trace.traceparent = core.traceparent

local function finish(request, ok, ...)
	await(core.finish(request, ok))
	if not ok then
		error((...), 0)
	end
	return ...
end

-- Runs f(...) as a part of the trace of a request and returns its values: `header` is the value of the request's header
-- `traceparent`, or nil, and `method` names the request. A header that is invalid, or not sampled, has no effect.
function trace.within(header, method, f, ...)
	local request, session = core.begin(header, method)
	if not request then
		return f(...)
	end
	await(session)
	return finish(request, pcall(f, ...))
end

return trace
