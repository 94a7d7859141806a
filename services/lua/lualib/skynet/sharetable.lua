-- The module `skynet.sharetable`: tables that are loaded once and queried by all services of a node.
--
-- Each query returns an ordinary table, a copy. `update` updates the tables that this service has queried under a name in
-- place, so references to them, and to tables in them that still exist, see the newest contents.
local skynet = require "skynet"

local sharetable = {}

local address
-- By name: the tables that this service has queried.
local queried = {}

local function call(...)
	address = address or skynet.uniqueservice "sharetabled"
	return skynet.call(address, "lua", ...)
end

local function remember(name, values)
	if values then
		local list = queried[name]
		if not list then
			list = setmetatable({}, { __mode = "k" })
			queried[name] = list
		end
		list[values] = true
	end
	return values
end

function sharetable.loadfile(name, ...)
	call("load", name, "@" .. name, ...)
end

function sharetable.loadstring(name, source, ...)
	assert(type(source) == "string", "a chunk of Lua is a string")
	call("load", name, source, ...)
end

function sharetable.loadtable(name, values)
	assert(type(values) == "table", "a table is expected")
	call("table", name, values)
end

function sharetable.query(name)
	return remember(name, call("query", name))
end

function sharetable.queryall(names)
	local all = call("queryall", names)
	for name, values in pairs(all) do
		remember(name, values)
	end
	return all
end

local function refill(old, new)
	for key, value in pairs(old) do
		local newer = new[key]
		if type(value) == "table" and type(newer) == "table" then
			refill(value, newer)
		else
			old[key] = newer
		end
	end
	for key, value in pairs(new) do
		if old[key] == nil then
			old[key] = value
		end
	end
end

function sharetable.update(...)
	for _, name in ipairs { ... } do
		local list = queried[name]
		if list and next(list) then
			local newest = call("query", name) or {}
			for old in pairs(list) do
				refill(old, newest)
			end
		end
	end
end

return sharetable
