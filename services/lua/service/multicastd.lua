-- The service behind `skynet.multicast`: the subscribers of the node's channels.
local skynet = require "skynet"

-- By channel: the set of subscribers.
local channels = {}
local last = 0

skynet.register_protocol { name = "multicast", id = skynet.PTYPE_MULTICAST }

local function subscribers_of(channel)
	return channels[channel] or error(("there is no channel %s"):format(tostring(channel)), 0)
end

local commands = {}

function commands.NEW()
	last = last + 256
	channels[last] = {}
	return last
end

function commands.DEL(_, channel)
	channels[channel] = nil
end

function commands.SUB(source, channel)
	subscribers_of(channel)[source] = true
end

function commands.USUB(source, channel)
	local subscribers = channels[channel]
	if subscribers then
		subscribers[source] = nil
	end
end

function commands.PUB(source, channel, text)
	local message = string.pack("<I8s4", channel, text)
	local subscribers = channels[channel] or {}
	for subscriber in pairs(subscribers) do
		-- A subscriber that is known to have ended is removed.
		if not skynet.redirect(subscriber, source, "multicast", 0, message) then
			subscribers[subscriber] = nil
		end
	end
end

skynet.start(function()
	skynet.dispatch("lua", function(session, source, command, ...)
		local run = commands[command] or error("multicastd: unknown command " .. tostring(command), 0)
		local result = run(source, ...)
		if session ~= 0 then
			skynet.retpack(result)
		end
	end)
end)
