-- The module `skynet.sharetable`: read-only tables that all services of a node read.
--
-- The node has one copy of each version. A service keeps the version that it has queried until it queries again, or calls
-- `update`: then the tables that it has queried, and the tables in them, show the newest version.
local skynet = require "skynet"
local shared = require "skyring.shared"

-- The number of this module's names for `skyring.shared`.
local SPACE = 2

local sharetable = {}

local address

local function call(...)
	address = address or skynet.uniqueservice "sharetabled"
	return skynet.call(address, "lua", ...)
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
	shared.publish(SPACE, name, values)
end

-- nil: there is no shared table with this name.
function sharetable.query(name)
	return (shared.query(SPACE, name))
end

function sharetable.queryall(names)
	local found = {}
	for _, name in ipairs(names or shared.names(SPACE)) do
		found[name] = shared.query(SPACE, name)
	end
	return found
end

function sharetable.update(...)
	for _, name in ipairs { ... } do
		shared.update(SPACE, name)
	end
end

return sharetable
