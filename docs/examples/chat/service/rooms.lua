-- Who is here: the names of all players, and of each room where its players stand.
local skynet = require "skynet"
require "skynet.manager"

local names = {}
local rooms = {}

local commands = {}

-- False when a player of that name is here already.
function commands.claim(name)
	if names[name] then
		return false
	end
	names[name] = true
	return true
end

function commands.release(name)
	names[name] = nil
end

-- Returns who is in the room, the new player among them.
function commands.enter(room, name, x, y)
	rooms[room] = rooms[room] or {}
	rooms[room][name] = { x, y }
	return rooms[room]
end

function commands.move(room, name, x, y)
	rooms[room][name] = { x, y }
end

function commands.leave(room, name)
	rooms[room][name] = nil
	if not next(rooms[room]) then
		rooms[room] = nil
	end
end

skynet.start(function()
	skynet.register ".rooms"
	skynet.dispatch("lua", function(_, _, command, ...)
		local run = assert(commands[command], "rooms: unknown command")
		skynet.ret(skynet.pack(run(...)))
	end)
end)
