-- The service behind `skynet.datacenter`: a tree of values, and the calls that wait for values not set yet.
local skynet = require "skynet"

local tree = {}
-- The tree of waiting calls: a leaf has a list `waiting`.
local wait_tree = {}

local function find(...)
	local value = tree
	for _, key in ipairs { ... } do
		if type(value) ~= "table" then
			return nil
		end
		value = value[key]
	end
	return value
end

-- Answers the calls that wait for the path. Calls that wait for a path that has become a branch get an error.
local function wake(value, ...)
	local keys = { ... }
	local at = wait_tree
	for depth, key in ipairs(keys) do
		local below = at[key]
		if not below then
			return
		end
		if below.waiting then
			at[key] = nil
			for _, answer in ipairs(below.waiting) do
				if depth == #keys then
					answer(true, value)
				else
					answer(false, "the path that the call waits for is a branch")
				end
			end
			return
		end
		at = below.branch
	end
end

local commands = {}

function commands.QUERY(...)
	if select("#", ...) == 0 then
		return nil
	end
	return find(...)
end

function commands.UPDATE(...)
	local path = table.pack(...)
	assert(path.n >= 2, "datacenter.set requires keys and a value")
	local value, key = path[path.n], path[path.n - 1]
	local at = tree
	for depth = 1, path.n - 2 do
		local below = at[path[depth]]
		if below == nil then
			below = {}
			at[path[depth]] = below
		end
		assert(type(below) == "table", "the path goes through a value, which is not a branch")
		at = below
	end
	local before = at[key]
	at[key] = value
	if before == nil and value ~= nil then
		wake(value, table.unpack(path, 1, path.n - 1))
	end
	return before
end

local function wait_for(...)
	local keys = { ... }
	local at = wait_tree
	for depth, key in ipairs(keys) do
		local below = at[key]
		if depth == #keys then
			below = below or { waiting = {} }
			assert(below.waiting, "datacenter.wait cannot wait for a branch")
			at[key] = below
			table.insert(below.waiting, skynet.response())
			return
		end
		below = below or { branch = {} }
		assert(below.branch, "the path goes through a value, which is not a branch")
		at[key] = below
		at = below.branch
	end
	error("datacenter.wait requires a key", 0)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		if command == "WAIT" then
			local value = commands.QUERY(...)
			if value ~= nil then
				skynet.retpack(value)
			else
				wait_for(...)
			end
			return
		end
		local run = commands[command]
		if not run then
			error("datacenterd: unknown command " .. tostring(command), 0)
		end
		skynet.retpack(run(...))
	end)
end)
