-- The module `snax.hotfix`: replaces functions of a running snax service.
--
-- hotfix(functions, source, ...) runs `source` as the file of a snax service. Each function that it defines replaces the
-- service's function of that name. A local variable of the source that has no value stands for the service's variable of
-- that name: the new functions share it. If the source defines a function `hotfix`, it is called with the arguments, and
-- its results follow true. On an error the result is false and the error, and nothing is replaced, unless it is one of
-- that function, which runs when the others are replaced.
local load_interface = require "snax.interface"

-- The globals for the sources: a copy, because the loader adds to them.
local source_globals = {}
for key, value in pairs(_ENV) do
	source_globals[key] = value
end

local function upvalues(f)
	local index = 0
	return function()
		index = index + 1
		local name, value = debug.getupvalue(f, index)
		if name then
			return index, name, value
		end
	end
end

local function environment_id(f)
	for index, name in upvalues(f) do
		if name == "_ENV" then
			return debug.upvalueid(f, index)
		end
	end
end

-- Adds the variables that a function of the service refers to, also through other functions of its file. Two variables of
-- one name cannot be told apart, so the patch must not use that name.
local function collect(f, variables, environment, seen)
	seen[f] = true
	for index, name, value in upvalues(f) do
		local id = debug.upvalueid(f, index)
		local known = variables[name]
		if not known then
			variables[name] = { f = f, index = index, id = id }
		elseif known.id ~= id then
			known.is_ambiguous = true
		end
		if type(value) == "function" and not seen[value] and environment_id(value) == environment then
			collect(value, variables, environment, seen)
		end
	end
end

local function variables_of(functions)
	local variables, seen = {}, {}
	for _, entry in ipairs(functions) do
		local f = entry[4]
		if f and not seen[f] then
			collect(f, variables, environment_id(f), seen)
		end
	end
	if not variables._ENV then
		-- No function uses a global: those of this file are the service's.
		for index, name in upvalues(collect) do
			if name == "_ENV" then
				variables._ENV = { f = collect, index = index }
			end
		end
	end
	return variables
end

-- Finds the variables of a new function that stand for those of the service.
local function find_joins(f, variables, joins, seen)
	seen[f] = true
	for index, name, value in upvalues(f) do
		if value == nil or value == source_globals then
			local known = variables[name]
			if known and known.is_ambiguous then
				error(("the service has several local variables %s"):format(name), 0)
			elseif known then
				joins[#joins + 1] = { f, index, known.f, known.index }
			end
		elseif type(value) == "function" and not seen[value] then
			find_joins(value, variables, joins, seen)
		end
	end
end

local function find(functions, group, name)
	for _, entry in ipairs(functions) do
		if entry[2] == group and entry[3] == name then
			return entry
		end
	end
end

local function patch(functions, source, ...)
	local new = load_interface("patch", source_globals, function(_, _, G)
		return assert(load(source, "=patch", "bt", G))
	end)
	local variables, joins, replaced, seen = variables_of(functions), {}, {}, {}
	for _, entry in ipairs(new) do
		local _, group, name, f = table.unpack(entry, 1, 4)
		if f then
			local old = find(functions, group, name)
				or error(("the service has no function %s.%s to replace"):format(group, name), 0)
			find_joins(f, variables, joins, seen)
			replaced[#replaced + 1] = { old, f }
		end
	end
	for _, join in ipairs(joins) do
		debug.upvaluejoin(table.unpack(join))
	end
	for _, pair in ipairs(replaced) do
		pair[1][4] = pair[2]
	end
	local run = find(new, "system", "hotfix")[4]
	if run then
		return run(...)
	end
end

return function(functions, source, ...)
	if type(source) ~= "string" then
		return false, ("the source of a hot fix is a text, not a %s"):format(type(source))
	end
	return pcall(patch, functions, source, ...)
end
