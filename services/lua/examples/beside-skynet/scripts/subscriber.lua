-- Subscribes to a channel, and sends the number of its messages to a service when the last one has arrived.
local skynet = require "skynet"
local multicast = require "skynet.multicast"

local id, observer = ...
local count = 0

skynet.start(function()
	local channel = multicast.new {
		channel = tonumber(id),
		dispatch = function(_, _, _, is_last)
			count = count + 1
			if is_last then
				skynet.send(tonumber(observer), "lua", count)
			end
		end,
	}
	channel:subscribe()
end)
