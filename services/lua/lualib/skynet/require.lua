-- A `require` that knows of two steps: a module's own chunk, then what it gave to skynet.init. Modules that the
-- service's main chunk requires are initialised by skynet.start, before its function; later ones at once.
local find_module = require "skyring.find"

local M = {}

local main_thread = coroutine.running()
-- The functions given to skynet.init, by the coroutine that loads a module.
local pending = { [main_thread] = {} }
-- Modules that are being loaded, by name.
local loading = {}

local loaded = package.loaded
local plain_require = _G.require

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

local function load_module(name, chunk, place, co)
	local before = pending[co]
	local functions = {}
	pending[co] = functions
	local ok, problem = xpcall(function()
		local value = chunk(name, place)
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
		return plain_require(name)
	end
	local others = loading[name]
	if others then
		-- Another coroutine loads it and waits for something.
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
	local chunk, place = find(name)
	if not chunk then
		-- Modules in C, and the message that says where was looked.
		return plain_require(name)
	end
	others = { co = co }
	loading[name] = others
	local ok, problem = load_module(name, chunk, place, co)
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
	assert(type(f) == "function", "skynet.init wants a function")
	local functions = pending[coroutine.running()]
	assert(functions, "skynet.init can only be called while a module is loaded, or by the service's main chunk")
	functions[#functions + 1] = f
end

return M
