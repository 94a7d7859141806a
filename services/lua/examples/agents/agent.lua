-- A small service: it requires what most services do, and answers calls.
local skynet = require "skynet"
require "skynet.socket"
require "skynet.cluster"
local queue = require "skynet.queue"
local sharetable

local rows = tonumber(skynet.getenv "rows")
if rows > 0 then
	sharetable = require "skynet.sharetable"
end
local items
local lock = queue()

skynet.start(function()
	if rows > 0 then
		items = sharetable.query "items"
	end
	skynet.dispatch("lua", function(_, _, number)
		if number then
			local price = items and items[number % rows + 1].price or number
			skynet.retpack(lock(function() return price end))
		else
			skynet.exit()
		end
	end)
end)
