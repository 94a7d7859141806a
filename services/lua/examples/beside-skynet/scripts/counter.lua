-- Counts the items that it is sent, and answers calls.
local skynet = require "skynet"

local count = 0
local commands = {}

function commands.item()
	count = count + 1
end

function commands.count()
	skynet.retpack(count)
end

function commands.echo(value)
	skynet.retpack(value)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		commands[command](...)
	end)
end)
