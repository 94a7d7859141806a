-- The players as they were when they left: where they stood, and in which room.
local skynet = require "skynet"

local players = {}

local commands = {}

function commands.load(name)
	local player = players[name] or { x = 50, y = 50, room = "lobby" }
	return player.x, player.y, player.room
end

function commands.save(name, x, y, room)
	players[name] = { x = x, y = y, room = room }
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		local run = assert(commands[command], "players: unknown command")
		skynet.ret(skynet.pack(run(...)))
	end)
end)
