-- The module `skynet.queue`: makes functions that run one after the other, in the order in which they were
-- called, although each may wait in between. The coroutine that holds the turn may call again.
local skynet = require "skynet"

function skynet.queue()
	local holder
	local depth = 0
	local first, last = 1, 0
	local waiting = {}

	local function leave(ok, ...)
		depth = depth - 1
		if depth == 0 then
			holder = nil
			if first <= last then
				holder = waiting[first]
				waiting[first] = nil
				first = first + 1
				skynet.wakeup(holder)
			else
				first, last = 1, 0
			end
		end
		if not ok then
			error((...), 0)
		end
		return ...
	end

	return function(f, ...)
		local co = coroutine.running()
		if holder and holder ~= co then
			last = last + 1
			waiting[last] = co
			skynet.wait(co)
			assert(holder == co and depth == 0, "the turn was given to another coroutine")
		end
		holder = co
		depth = depth + 1
		return leave(xpcall(f, debug.traceback, ...))
	end
end

return skynet.queue
