-- The service behind `skynet.sharedata` and `skynet.datasheet`: loads chunks of Lua, and answers the services that follow
-- a name when it has a newer version.
local skynet = require "skynet"
local shared = require "skyring.shared"

-- Files that are loaded contain data, and are read anew.
require("skynet.codecache").mode "OFF"

-- By name, for each number of a module: the closures that answer the followers.
local waiting = { {}, {}, {} }

local function load_values(name, source, ...)
	local globals = setmetatable({}, { __index = _ENV })
	local chunk
	if source:sub(1, 1) == "@" then
		chunk = assert(loadfile(source:sub(2), "bt", globals))
	else
		chunk = assert(load(source, "=" .. name, "bt", globals))
	end
	local result = chunk(...)
	setmetatable(globals, nil)
	return type(result) == "table" and result or globals
end

local commands = {}

function commands.changed(space, name)
	local list = waiting[space][name]
	waiting[space][name] = nil
	local number = shared.number(space, name)
	for _, answer in ipairs(list or {}) do
		answer(true, number)
	end
end

function commands.load(space, name, must_be_new, source, ...)
	if must_be_new and shared.number(space, name) then
		error("a shared table with the name " .. name .. " exists already", 0)
	end
	shared.publish(space, name, load_values(name, source, ...), must_be_new)
	-- The values that were loaded are garbage once this call is answered.
	skynet.fork(function()
		collectgarbage()
		shared.release()
	end)
	commands.changed(space, name)
end

local function follow(space, name, version)
	local number = shared.number(space, name)
	if number ~= version then
		return skynet.retpack(number)
	end
	local list = waiting[space][name] or {}
	waiting[space][name] = list
	-- Followers that have ended are removed when the list has doubled.
	if #list >= (list.checked_at or 64) then
		local alive = {}
		for _, answer in ipairs(list) do
			if answer "TEST" then
				alive[#alive + 1] = answer
			end
		end
		alive.checked_at = math.max(64, #alive * 2)
		waiting[space][name], list = alive, alive
	end
	list[#list + 1] = skynet.response()
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		if command == "monitor" then
			return follow(...)
		end
		local run = commands[command] or error("sharedatad: unknown command " .. tostring(command), 0)
		skynet.retpack(run(...))
	end)
	skynet.info_func(function()
		return { sharedata = shared.info(1), datasheet = shared.info(3) }
	end)
end)
