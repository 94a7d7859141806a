-- The module `snax.interface`: loads the file of a snax service and lists its functions.
--
-- interface(name, G [, loader]) runs the file with the globals G and returns a list of { id, group, name, function }, and
-- the pattern of `snax` in the config that found the file. The groups are `system` (ids 1 to 4: init, exit, hotfix and
-- profile, without a function unless the file defines one), `accept` and `response`, numbered in the order of their
-- definition: messages name a function by its number. Other globals that the file defines are added to G.
local skynet = require "skynet"

local SYSTEM = { "init", "exit", "hotfix", "profile" }
local RESERVED = { "init", "exit", "accept", "response" }

local function load_file(path, name, G)
	if type(name) ~= "string" then
		error(("the name of a snax service is a string, not a %s"):format(type(name)), 0)
	end
	local causes = {}
	for pattern in path:gmatch "[^;]+" do
		local file = pattern:gsub("%?", (name:gsub("%%", "%%%%")))
		local main, cause = loadfile(file, "bt", G)
		if main then
			return main, pattern
		end
		causes[#causes + 1] = cause
	end
	error(table.concat(causes, "\n"), 0)
end

local function add_group(list, group)
	local seen = {}
	return setmetatable({}, {
		__newindex = function(_, name, f)
			if type(name) ~= "string" then
				error(("the name of a function of %s is a string, not a %s"):format(group, type(name)), 2)
			elseif type(f) ~= "function" then
				error(("%s.%s must be a function, not a %s"):format(group, name, type(f)), 2)
			elseif seen[name] then
				error(("%s.%s is defined twice"):format(group, name), 2)
			end
			seen[name] = true
			list[#list + 1] = { #list + 1, group, name, f }
		end,
	})
end

return function(name, G, loader)
	assert(getmetatable(G) == nil, "the globals of a snax service have no metatable")
	for _, reserved in ipairs(RESERVED) do
		assert(G[reserved] == nil, reserved .. " is a global already")
	end
	local list, system = {}, {}
	for id, function_name in ipairs(SYSTEM) do
		list[id] = { id, "system", function_name }
		system[function_name] = list[id]
	end
	local groups = { accept = add_group(list, "accept"), response = add_group(list, "response") }
	local globals = {}

	local path = skynet.getenv "snax" or error("the config must set snax, the path of snax services", 0)
	local main, pattern = (loader or load_file)(path, name, G)
	setmetatable(G, {
		__index = function(_, key)
			local value = groups[key]
			if value == nil then
				value = globals[key]
			end
			return value
		end,
		__newindex = function(_, key, value)
			local entry = system[key]
			if not entry then
				globals[key] = value
			elseif type(value) == "function" then
				entry[4] = value
			else
				error(key .. " must be a function", 2)
			end
		end,
	})
	local ok, problem = xpcall(main, debug.traceback)
	setmetatable(G, nil)
	if not ok then
		error(problem, 0)
	end
	for key, value in pairs(globals) do
		G[key] = value
	end
	return list, pattern
end
