-- The peer `skynet` of Skyring's rig, its client: so many coroutines call, one call at a time each, and
-- what the calls took is told.
local skynet = require "skynet.manager"
local cluster = require "skynet.cluster"

local function number(name)
	return assert(math.tointeger(tonumber(skynet.getenv(name))), name)
end

local function say(...)
	io.stdout:write(string.format(...), "\n")
	io.stdout:flush()
end

skynet.start(function()
	local callers, value = number "floor_in_flight", string.rep("v", number "floor_size")
	local warm_up, duration = number "floor_warm_up_cs", number "floor_duration_cs"
	local buckets, errors, is_measuring, is_over, alive = {}, 0, false, false, callers

	local function call_on_and_on()
		local began = skynet.hpc()
		while not is_over do
			local ok, answer = pcall(cluster.call, "server", "@echo", value)
			local ended = skynet.hpc()
			if is_measuring then
				if ok and answer == value then
					local microseconds = (ended - began) // 1000
					buckets[microseconds] = (buckets[microseconds] or 0) + 1
				else
					errors = errors + 1
				end
			end
			began = ended
		end
		alive = alive - 1
	end

	for _ = 1, callers do
		skynet.fork(call_on_and_on)
	end
	skynet.sleep(warm_up)
	is_measuring = true
	local began = skynet.hpc()
	say("begin")
	skynet.sleep(duration)
	is_measuring = false
	local seconds = (skynet.hpc() - began) / 1e9
	say("end")
	is_over = true
	say("seconds %.6f", seconds)
	say("errors %d", errors)
	for microseconds, calls in pairs(buckets) do
		say("bucket %d %d", microseconds, calls)
	end
	say("done")
	skynet.abort()
end)
