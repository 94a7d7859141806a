-- Starts many services that call each other, stops them after some time, and adds up their calls.
local skynet = require "skynet.manager"

local count = tonumber(skynet.getenv "many")
local seconds = tonumber(skynet.getenv "seconds")

skynet.start(function()
	local actors = {}
	for i = 1, count do
		actors[i] = skynet.newservice "actor"
	end
	-- These are sends, because an answer would queue behind the calls of the actors that have already begun.
	for _, actor in ipairs(actors) do
		skynet.send(actor, "lua", "begin", actors)
	end
	skynet.error("SERVICES", count)
	skynet.sleep(seconds * 100)
	-- All stop before the first is asked whether its last call was answered.
	for _, actor in ipairs(actors) do
		skynet.send(actor, "lua", "stop")
	end
	local calls, wrong = 0, 0
	for _, actor in ipairs(actors) do
		local made, failed = skynet.call(actor, "lua", "result")
		calls, wrong = calls + made, wrong + failed
	end
	skynet.error("CALLS", calls, "WRONG", wrong)
	skynet.error "ALL DONE"
end)
