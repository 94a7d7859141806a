-- What every service begins with: finds its file and runs it.
local find_module, find_service, config, arguments = ...

-- Our own modules come first; then those on the user's paths; then those of ours that only stand in for them.
local function searcher(last)
	return function(name)
		local loader = find_module(name, last)
		if loader then
			return loader, "built in"
		end
		return ("no module '%s' is built in"):format(name)
	end
end
table.insert(package.searchers, 1, searcher(false))
table.insert(package.searchers, searcher(true))

package.preload["skyring.find"] = function()
	return find_module
end

local words = {}
for word in arguments:gmatch "%S+" do
	words[#words + 1] = word
end
local name = words[1]
if not name then
	error("snlua wants the name of a service", 0)
end

local lua_path = config.lua_path or "./lualib/?.lua;./lualib/?/init.lua"
local lua_cpath = config.lua_cpath or "./luaclib/?.so"
local templates = config.luaservice or "./service/?.lua"

local function preload()
	if config.preload then
		assert(loadfile(config.preload))(table.unpack(words))
	end
end

local function use_our_require()
	_G.require = require("skynet.require").require
end

SERVICE_NAME = name

local function run_own(own)
	package.path, package.cpath = lua_path, lua_cpath
	SERVICE_PATH = ""
	use_our_require()
	return own(table.unpack(words, 2))
end

local own = find_service(name, false)
if own then
	return run_own(own)
end

-- A loader of the user's is used if it is there; ours does what Skynet's does.
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
	own = find_service(name, true)
	if own then
		return run_own(own)
	end
	error(table.concat(causes, "\n"), 0)
end

package.path, package.cpath = lua_path, lua_cpath
-- A service that is a folder finds its own modules first.
local folder = found:match "(.*/)[^/?]+$"
if folder then
	folder = folder:gsub("%?", (name:gsub("%%", "%%%%")))
	package.path = folder .. "?.lua;" .. package.path
	SERVICE_PATH = folder
else
	SERVICE_PATH = found:match "(.*/).+$"
end

preload()
use_our_require()
return main(table.unpack(words, 2))
