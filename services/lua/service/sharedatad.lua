-- The service behind `skynet.sharedata`: the tables by name, with their versions and followers.
local skynet = require "skynet"

-- By name: the version, the values, and the closures that answer the followers.
local tables = {}
-- Versions are never reused, so that the followers of a table notice if it is deleted and created again.
local last_version = 0

local function load_values(name, value, ...)
	if value == nil then
		return {}
	elseif type(value) == "table" then
		return value
	elseif type(value) ~= "string" then
		error("shared data is a table or a chunk of Lua, not a " .. type(value), 0)
	end
	local globals = setmetatable({}, { __index = _ENV })
	local chunk
	if value:sub(1, 1) == "@" then
		chunk = assert(loadfile(value:sub(2), "bt", globals))
	else
		chunk = assert(load(value, "=" .. name, "bt", globals))
	end
	local result = chunk(...)
	setmetatable(globals, nil)
	return type(result) == "table" and result or globals
end

local function entry_of(name)
	return tables[name] or error("no shared data with the name " .. tostring(name), 0)
end

local commands = {}

function commands.new(name, ...)
	assert(tables[name] == nil, "the shared data already exists")
	commands.update(name, ...)
end

function commands.update(name, ...)
	local values = load_values(name, ...)
	local before = tables[name]
	last_version = last_version + 1
	tables[name] = { version = last_version, values = values, followers = {} }
	for _, answer in ipairs(before and before.followers or {}) do
		answer(true, last_version, values)
	end
end

function commands.delete(name)
	local entry = entry_of(name)
	tables[name] = nil
	for _, answer in ipairs(entry.followers) do
		answer(true)
	end
end

function commands.query(name)
	local entry = entry_of(name)
	return entry.version, entry.values
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, name, ...)
		if command == "monitor" then
			local entry = entry_of(name)
			if entry.version == ... then
				-- Followers that have ended are removed from time to time.
				if #entry.followers % 64 == 63 then
					local alive = {}
					for _, answer in ipairs(entry.followers) do
						if answer "TEST" then
							table.insert(alive, answer)
						end
					end
					entry.followers = alive
				end
				table.insert(entry.followers, skynet.response())
			else
				skynet.retpack(entry.version, entry.values)
			end
			return
		end
		local run = commands[command] or error("sharedatad: unknown command " .. tostring(command), 0)
		skynet.retpack(run(name, ...))
	end)
end)
