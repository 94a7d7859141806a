-- A `require` that loads a module in two steps: it runs the module's chunk, then the functions that the chunk passed to
-- skynet.init. For modules that the service's main chunk requires, skynet.start does the second step before it runs
-- its function; for later modules `require` does.
local find_module = require "skyring.find"

local M = {}

local main_thread = coroutine.running()
-- By coroutine that loads a module: the functions passed to skynet.init.
local pending = { [main_thread] = {} }
-- By name of a module that is being loaded: the coroutine that loads it, and those that wait for it.
local loading = {}

local loaded = package.loaded
local lua_require = _G.require

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

function M.require(name)
	local value = loaded[name]
	if value ~= nil then
		return value
	end
	local co, is_main = coroutine.running()
	if is_main then
		return lua_require(name)
	end
	local others = loading[name]
	if others then
		-- Another coroutine is loading it and waits.
		assert(others.co ~= co, "the module requires itself while it is loaded")
		local skynet = require "skynet"
		others[#others + 1] = co
		skynet.wait(co)
		value = loaded[name]
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

function M.init_all()
	local functions = pending[main_thread]
	pending[main_thread] = nil
	for _, f in ipairs(functions or {}) do
		f()
	end
end

function M.init(f)
	assert(type(f) == "function", "skynet.init requires a function")
	local functions = pending[coroutine.running()]
	assert(functions, "skynet.init can only be called while a module is loaded, or by the service's main chunk")
	functions[#functions + 1] = f
end

return M
