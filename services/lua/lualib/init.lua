-- The first chunk of every service: finds the service's file and runs it.
local find_module, find_service, config, arguments = ...

-- Modules of the library that are loaded when their table is first used: many services require them, and few use them.
-- Their files get the table as the second argument.
local deferred, deferred_meta = {}, {}

local function load_deferred(module)
	local entry = deferred[module]
	setmetatable(module, nil)
	local ok, problem = pcall(find_module(entry.name, entry.is_fallback, true), entry.name, module)
	if not ok then
		setmetatable(module, deferred_meta)
		error(problem, 0)
	end
	deferred[module] = nil
	return module
end

function deferred_meta.__index(module, key)
	return load_deferred(module)[key]
end

function deferred_meta.__newindex(module, key, value)
	load_deferred(module)[key] = value
end

function deferred_meta.__pairs(module)
	return pairs(load_deferred(module))
end

-- The loader of a built-in module, a function.
local function find(name, is_fallback)
	local found = find_module(name, is_fallback, false)
	if type(found) == "table" then
		return function()
			return found
		end
	elseif found ~= true then
		return found
	end
	return function()
		local module = setmetatable({}, deferred_meta)
		deferred[module] = { name = name, is_fallback = is_fallback }
		return module
	end
end

-- Order: built-in modules, modules on the user's paths, built-in modules that only serve as a fallback.
local function searcher(is_fallback)
	return function(name)
		local loader = find(name, is_fallback)
		if loader then
			return loader, "built in"
		end
		return ("no module '%s' is built in"):format(name)
	end
end
table.insert(package.searchers, 1, searcher(false))
table.insert(package.searchers, searcher(true))

package.loaded["skyring.loadlib"] = package.loadlib
package.loaded["skyring.find"] = find

-- Modules in C are examined before they are loaded.
local function library_searcher(is_part)
	return function(name)
		return require "skyring.c_modules".search(name, is_part)
	end
end
package.searchers[4] = library_searcher(false)
package.searchers[5] = library_searcher(true)
package.loadlib = function(...)
	return require "skyring.c_modules".load_library(...)
end

local tokens = {}
for token in arguments:gmatch "%S+" do
	tokens[#tokens + 1] = token
end
local name = tokens[1]
if not name then
	error("snlua requires the name of a service", 0)
end

local lua_path = config.lua_path or "./lualib/?.lua;./lualib/?/init.lua"
local lua_cpath = config.lua_cpath or "./luaclib/?.so"
local templates = config.luaservice or "./service/?.lua"

local function preload()
	if config.preload then
		assert(loadfile(config.preload))(table.unpack(tokens))
	end
end

local function replace_require()
	_G.require = require("skynet.require").require
end

SERVICE_NAME = name

local function run_built_in(chunk)
	package.path, package.cpath = lua_path, lua_cpath
	SERVICE_PATH = ""
	replace_require()
	return chunk(table.unpack(tokens, 2))
end

local built_in = find_service(name, false)
if built_in then
	return run_built_in(built_in)
end

-- The user's loader is used if its file exists. The code below does the same as Skynet's loader.
if config.lualoader then
	local file = io.open(config.lualoader)
	if file then
		file:close()
		LUA_PATH, LUA_CPATH, LUA_SERVICE, LUA_PRELOAD = lua_path, lua_cpath, templates, config.preload
		return assert(loadfile(config.lualoader))(arguments)
	end
end

local main, found
local causes = {}
for template in templates:gmatch "[^;]+" do
	local path = template:gsub("%?", (name:gsub("%%", "%%%%")))
	local cause
	main, cause = loadfile(path)
	if main then
		found = template
		break
	end
	causes[#causes + 1] = cause
end
if not main then
	built_in = find_service(name, true)
	if built_in then
		return run_built_in(built_in)
	end
	error(table.concat(causes, "\n"), 0)
end

package.path, package.cpath = lua_path, lua_cpath
-- For a service that is a folder, the modules in it take precedence.
local folder = found:match "(.*/)[^/?]+$"
if folder then
	folder = folder:gsub("%?", (name:gsub("%%", "%%%%")))
	package.path = folder .. "?.lua;" .. package.path
	SERVICE_PATH = folder
else
	SERVICE_PATH = found:match "(.*/).+$"
end

preload()
replace_require()
return main(table.unpack(tokens, 2))
