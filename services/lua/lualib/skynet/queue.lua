-- The module `skynet.queue`: creates critical sections. Functions called through a queue run one after the other, in the
-- order of the calls, even if they wait. The coroutine that runs one may call the queue again.
local skynet = require "skynet"

function skynet.queue()
	local holder
	local depth = 0
	local first, last = 1, 0
	local waiting = {}

	local function finish(ok, ...)
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
			assert(holder == co and depth == 0, "the queue resumed the wrong coroutine")
		end
		holder = co
		depth = depth + 1
		return finish(xpcall(f, debug.traceback, ...))
	end
end

return skynet.queue
