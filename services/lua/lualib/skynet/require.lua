-- A `require` that loads a module in two steps: it runs the module's chunk, then the functions that the chunk passed to
-- skynet.init. For modules that the service's main chunk requires, skynet.start does the second step before it runs
-- its function; for later modules `require` does.
local M = {}

local main_thread = coroutine.running()
-- By coroutine that loads a module: the functions passed to skynet.init.
local pending = { [main_thread] = {} }

local loaded = package.loaded
local lua_require = _G.require
local load_late

function M.require(name)
	local value = loaded[name]
	if value ~= nil then
		return value
	end
	local co, is_main = coroutine.running()
	if is_main then
		return lua_require(name)
	end
	load_late = load_late or lua_require "skynet.require_late" (pending, lua_require)
	return load_late(name, co)
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
