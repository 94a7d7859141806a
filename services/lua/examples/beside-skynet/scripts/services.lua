-- The memory of a small service, and the time to start all of them.
local skynet = require "skynet"
local measure = require "measure"

local count = tonumber(skynet.getenv "agents")

skynet.start(function()
	-- What the first service compiles, the others share.
	skynet.send(skynet.newservice "agent", "lua")
	local before = measure.settled_kib()
	measure.result("start %f", measure.seconds(function()
		for _ = 1, count do
			skynet.newservice "agent"
		end
	end))
	measure.result("memory %f", (measure.settled_kib() - before) / count)
	measure.done()
end)
