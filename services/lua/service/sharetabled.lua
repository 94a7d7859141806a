-- The service behind `skynet.sharetable`: runs the chunks of Lua that return the tables.
local skynet = require "skynet"
local shared = require "skyring.shared"

-- Files that are loaded contain data, and are read anew.
require("skynet.codecache").mode "OFF"

local SPACE = 2

local commands = {}

function commands.load(name, source, ...)
	local globals = setmetatable({}, { __index = _ENV })
	local chunk
	if source:sub(1, 1) == "@" then
		chunk = assert(loadfile(source:sub(2), "bt", globals))
	else
		chunk = assert(load(source, "=" .. name, "bt", globals))
	end
	local values = chunk(...)
	assert(type(values) == "table", "the chunk of a shared table must return a table")
	shared.publish(SPACE, name, values)
	-- The values that were loaded are garbage once this call is answered.
	skynet.fork(function()
		collectgarbage()
		shared.release()
	end)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		local run = commands[command] or error("sharetabled: unknown command " .. tostring(command), 0)
		skynet.retpack(run(...))
	end)
	skynet.info_func(function()
		return shared.info(SPACE)
	end)
end)
