-- Loads modules in coroutines of the service. `skynet.require` loads this module when a coroutine requires another one.
local loaded = package.loaded
-- By name of a module that is being loaded: the coroutine that loads it, and those that wait for it.
local loading = {}

return function(pending, lua_require)

local find_module = lua_require "skyring.find"

local function find(name)
	local preloaded = package.preload[name]
	if preloaded then
		return nil
	end
	local chunk = find_module(name, false)
	if chunk then
		return chunk, "built in"
	end
	local path = package.searchpath(name, package.path)
	if path then
		return loadfile(path), path
	end
end

local function load_module(name, chunk, path, co)
	local before = pending[co]
	local functions = {}
	pending[co] = functions
	local ok, problem = xpcall(function()
		local value = chunk(name, path)
		for _, f in ipairs(functions) do
			f()
		end
		if value ~= nil then
			loaded[name] = value
		elseif loaded[name] == nil then
			loaded[name] = true
		end
	end, debug.traceback)
	pending[co] = before
	return ok, problem
end

return function(name, co)
	local others = loading[name]
	if others then
		-- Another coroutine is loading it and waits.
		assert(others.co ~= co, "the module requires itself while it is loaded")
		local skynet = require "skynet"
		others[#others + 1] = co
		skynet.wait(co)
		local value = loaded[name]
		if value == nil then
			error(("require '%s' failed in another coroutine"):format(name))
		end
		return value
	end
	local chunk, path = find(name)
	if not chunk then
		-- For modules in C, and for the error that lists the searched paths.
		return lua_require(name)
	end
	others = { co = co }
	loading[name] = others
	local ok, problem = load_module(name, chunk, path, co)
	loading[name] = nil
	if #others > 0 then
		local skynet = require "skynet"
		for _, waiting in ipairs(others) do
			skynet.wakeup(waiting)
		end
	end
	if not ok then
		error(problem, 0)
	end
	return loaded[name]
end

end
