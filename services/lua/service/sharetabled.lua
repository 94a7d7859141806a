-- The service behind `skynet.sharetable`: the tables by name.
local skynet = require "skynet"

local tables = {}

local commands = {}

function commands.load(name, source, ...)
	local chunk
	if source:sub(1, 1) == "@" then
		chunk = assert(loadfile(source:sub(2)))
	else
		chunk = assert(load(source, "=" .. name))
	end
	local values = chunk(...)
	assert(type(values) == "table", "the chunk of a shared table must return a table")
	tables[name] = values
end

function commands.table(name, values)
	tables[name] = values
end

function commands.query(name)
	return tables[name]
end

function commands.queryall(names)
	if not names then
		return tables
	end
	local found = {}
	for _, name in ipairs(names) do
		found[name] = tables[name]
	end
	return found
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		local run = commands[command] or error("sharetabled: unknown command " .. tostring(command), 0)
		skynet.retpack(run(...))
	end)
end)
