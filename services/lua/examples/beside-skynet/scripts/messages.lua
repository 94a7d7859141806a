-- The time of many sends to one service, of as many calls, and of deliveries to many subscribers.
local skynet = require "skynet"
local multicast = require "skynet.multicast"
local measure = require "measure"

local SENDS, WAITING, CALLS, DELIVERIES, SUBSCRIBERS = 200000, 50000, 100000, 200000, 500

local function sends(counter)
	for i = 1, SENDS do
		skynet.send(counter, "lua", "item", i)
		-- Most messages that wait in a service: here an inbox is bounded, in Skynet it is not.
		if i % WAITING == 0 then
			assert(skynet.call(counter, "lua", "count") == i, "a send was lost")
		end
	end
end

local function calls(counter)
	for i = 1, CALLS do
		assert(skynet.call(counter, "lua", "echo", i) == i, "a wrong answer")
	end
end

skynet.start(function()
	local counter = skynet.newservice "counter"
	measure.result("sends %f", measure.seconds(function() sends(counter) end))
	measure.result("calls %f", measure.seconds(function() calls(counter) end))

	local channel = multicast.new()
	local waiting, received = coroutine.running(), 0
	local remaining = SUBSCRIBERS
	skynet.dispatch("lua", function(_, _, count)
		received, remaining = received + count, remaining - 1
		if remaining == 0 then
			skynet.wakeup(waiting)
		end
	end)
	for _ = 1, SUBSCRIBERS do
		skynet.newservice("subscriber", channel.channel, skynet.self())
	end
	local publications = DELIVERIES // SUBSCRIBERS
	measure.result("deliveries %f", measure.seconds(function()
		for i = 1, publications do
			channel:publish(i, i == publications)
		end
		skynet.wait()
	end))
	assert(received == DELIVERIES, "a delivery was lost")
	measure.done()
end)
