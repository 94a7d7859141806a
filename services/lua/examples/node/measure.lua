-- What the services of the examples measure with. Skynet runs it too.
local skynet = require "skynet"

local measure = {}

-- The memory of the process, in KiB.
function measure.resident_kib()
	local file = assert(io.open "/proc/self/statm")
	local pages = file:read "a":match "%d+ (%d+)"
	file:close()
	return tonumber(pages) * 4
end

-- The same when what happens now has ended. Ended services free their memory when their shard has handled their end.
function measure.settled_kib()
	skynet.sleep(100)
	return measure.resident_kib()
end

-- Seconds that a function takes.
function measure.seconds(f)
	local began = skynet.hpc()
	f()
	return (skynet.hpc() - began) / 1e9
end

function measure.result(...)
	skynet.error("RESULT", (...):format(select(2, ...)))
end

function measure.done()
	skynet.error "ALL DONE"
end

return measure
