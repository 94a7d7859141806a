-- One player: gets the packets of one client, and tells the rooms and the database.
local skynet = require "skynet"
local cluster = require "skynet.cluster"

local SAY_BYTES_MAX = 400

local gate, client, name
local x, y, room
local is_here = false

-- Writes a line to everybody in the room, whichever gate they came through.
local function push(...)
	local line = table.concat({ ... }, " ")
	skynet.send("@front", "lua", "push", room, line)
	skynet.send("@web", "lua", "push", room, line)
end

local function write(...)
	skynet.send(gate, "lua", "write", client, table.concat({ ... }, " "))
end

local function enter(new)
	room = new
	local others = skynet.call(".rooms", "lua", "enter", room, name, x, y)
	skynet.call(gate, "lua", "join", client, room)
	write("room", room)
	for other, place in pairs(others) do
		if other ~= name then
			write("player", other, place[1], place[2])
		end
	end
	push("came", name, x, y)
end

local function leave_room()
	skynet.call(".rooms", "lua", "leave", room, name)
	push("left", name)
	skynet.call(gate, "lua", "leave", client, room)
end

local words = {}

function words.say(text)
	if #text == 0 or #text > SAY_BYTES_MAX then
		return "error say 1 to " .. SAY_BYTES_MAX .. " bytes"
	end
	push("said", name, text)
end

function words.move(rest)
	local to_x, to_y = rest:match("^(%d+) (%d+)$")
	to_x, to_y = tonumber(to_x), tonumber(to_y)
	if not to_x or to_x > 100 or to_y > 100 then
		return "error move X Y, each from 0 to 100"
	end
	x, y = to_x, to_y
	skynet.call(".rooms", "lua", "move", room, name, x, y)
	push("moved", name, x, y)
end

function words.room(new)
	if not new:match("^[%w_-]+$") or #new > 20 then
		return "error room NAME, with up to 20 letters, digits, - or _"
	end
	if new ~= room then
		leave_room()
		enter(new)
	end
end

local commands = {}

-- Nothing when the player is here, or why not.
function commands.start(conf)
	if not skynet.call(".rooms", "lua", "claim", conf.name) then
		return conf.name .. " is here already"
	end
	gate, client, name = conf.gate, conf.client, conf.name
	is_here = true
	x, y, room = cluster.call("db", "@players", "load", name)
	-- Before the welcome: what the client sends then must come here.
	skynet.call(gate, "lua", "forward", client, skynet.self())
	write("welcome", name, x, y)
	enter(room)
end

-- Packets are handled one after the other, because the gate's order must be that of the room.
local queue = require "skynet.queue"()

function commands.data(_, line)
	local word, rest = line:match("^(%l+) ?(.*)$")
	local run = words[word]
	if not run or rest:find("%c") then
		return "error say TEXT, move X Y or room NAME"
	end
	return queue(run, rest)
end

function commands.leave()
	if is_here and room then
		queue(leave_room)
		cluster.call("db", "@players", "save", name, x, y, room)
	end
	if is_here then
		skynet.call(".rooms", "lua", "release", name)
	end
	skynet.exit()
end

skynet.start(function()
	skynet.dispatch("lua", function(session, _, command, ...)
		local run = assert(commands[command], "agent: unknown command")
		local answer = run(...)
		if session ~= 0 then
			skynet.ret(skynet.pack(answer))
		end
	end)
end)
