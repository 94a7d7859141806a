-- Runs a chunk in a service, for the console command `inject`.
--
-- The chunk has the service's globals, and: `print`, whose output is returned; `_P`, by name of a protocol the tables that
-- its handler refers to, directly or through other functions, by the name of the upvalue; and `_U`, the same for the
-- functions that are passed to inject. So `_P.lua.CMD.get = function(...) … end` replaces a command of a service whose
-- handler uses a table CMD.

-- Adds the tables that a function refers to. What is nearer to the function has precedence.
local function add_tables(found, f, seen)
	seen[f] = true
	local functions = {}
	local i = 1
	while true do
		local name, value = debug.getupvalue(f, i)
		if not name then
			break
		end
		if type(value) == "table" then
			if found[name] == nil then
				found[name] = value
			end
		elseif type(value) == "function" and not seen[value] then
			functions[#functions + 1] = value
		end
		i = i + 1
	end
	for _, inner in ipairs(functions) do
		if not seen[inner] then
			add_tables(found, inner, seen)
		end
	end
end

local function tables_of(functions)
	local found, seen = {}, {}
	for _, f in ipairs(functions) do
		if not seen[f] then
			add_tables(found, f, seen)
		end
	end
	return found
end

local function line_of(...)
	local texts = table.pack(...)
	for i = 1, texts.n do
		texts[i] = tostring(texts[i])
	end
	return table.concat(texts, "\t")
end

-- Returns whether the chunk ran, and the lines that it printed, with its error as the last one.
return function(skynet, source, name, arguments, ...)
	local output = {}
	local protocols = {}
	for _, p in pairs(skynet._proto or {}) do
		if p.name and p.dispatch then
			protocols[p.name] = tables_of { p.dispatch }
		end
	end
	local environment = setmetatable({
		print = function(...)
			output[#output + 1] = line_of(...)
		end,
		skynet = skynet,
		_P = protocols,
		_U = tables_of { skynet.register_protocol, ... },
	}, { __index = _ENV })
	local chunk, problem = load(source, name and "@" .. name or "=(load)", "bt", environment)
	local ok = chunk ~= nil
	if chunk then
		ok, problem = xpcall(chunk, debug.traceback, table.unpack(arguments, 1, arguments.n))
	end
	if not ok then
		output[#output + 1] = tostring(problem)
	end
	return ok, output
end
