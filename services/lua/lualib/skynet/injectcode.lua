-- Evaluates a text inside a stopped coroutine: it reads and assigns the local variables and upvalues of the function at a
-- level of its call stack, then the names in `extra`, then the globals of that function.
--
-- evaluate(source, co, level, extra) returns what pcall returns. Without a coroutine there are no local variables.

-- By name: the index of each local variable; of variables with the same name the innermost.
local function locals_of(co, level)
	local found = {}
	local i = 1
	while true do
		local name = debug.getlocal(co, level, i)
		if not name then
			return found
		end
		if name:byte() ~= ("("):byte() then
			found[name] = i
		end
		i = i + 1
	end
end

local function upvalues_of(f)
	local found = {}
	local i = 1
	while true do
		local name = debug.getupvalue(f, i)
		if not name then
			return found
		end
		found[name] = i
		i = i + 1
	end
end

local function varargs_of(co, level)
	local values = { n = 0 }
	while true do
		local name, value = debug.getlocal(co, level, -values.n - 1)
		if not name then
			return values
		end
		values.n = values.n + 1
		values[values.n] = value
	end
end

local function scope_of(co, level, extra)
	local info = debug.getinfo(co, level, "f")
	if not info then
		error(("the coroutine has no function at level %d"):format(level), 0)
	end
	local f = info.func
	local locals, upvalues = locals_of(co, level), upvalues_of(f)
	local globals = _G
	if upvalues._ENV then
		local _, value = debug.getupvalue(f, upvalues._ENV)
		globals = value
	end
	return setmetatable({}, {
		__index = function(_, name)
			if locals[name] then
				local _, value = debug.getlocal(co, level, locals[name])
				return value
			elseif upvalues[name] then
				local _, value = debug.getupvalue(f, upvalues[name])
				return value
			elseif extra[name] ~= nil then
				return extra[name]
			end
			return globals[name]
		end,
		__newindex = function(_, name, value)
			if locals[name] then
				debug.setlocal(co, level, locals[name], value)
			elseif upvalues[name] then
				debug.setupvalue(f, upvalues[name], value)
			else
				globals[name] = value
			end
		end,
	}), varargs_of(co, level)
end

return function(source, co, level, extra)
	extra = extra or {}
	local scope, arguments
	if co and co ~= coroutine.running() then
		local ok
		ok, scope, arguments = pcall(scope_of, co, level or 0, extra)
		if not ok then
			return false, scope
		end
	else
		scope = setmetatable({}, {
			__index = function(_, name)
				if extra[name] ~= nil then
					return extra[name]
				end
				return _G[name]
			end,
			__newindex = _G,
		})
		arguments = { n = 0 }
	end
	local chunk = load("return " .. source, "=(debug)", "t", scope)
	if not chunk then
		local problem
		chunk, problem = load(source, "=(debug)", "t", scope)
		if not chunk then
			return false, problem
		end
	end
	return pcall(chunk, table.unpack(arguments, 1, arguments.n))
end
