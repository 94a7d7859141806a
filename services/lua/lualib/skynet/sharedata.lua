-- The module `skynet.sharedata`: read-only tables that all services of a node read, and that follow updates.
--
-- The node has one copy of each version. What `query` returns, and the tables in it, show the newest version from the
-- message on after which the service learns of it; tables that are not there any more raise an error when they are used.
local skynet = require "skynet"
local shared = require "skyring.shared"
local followers = require "skynet.followers"

-- The number of this module's names for `skyring.shared`.
local SPACE = 1

local sharedata = {}

local function missing(name)
	error("there is no shared data with the name " .. tostring(name), 3)
end

function sharedata.query(name)
	local data, version = shared.query(SPACE, name)
	if not data then
		missing(name)
	end
	followers.follow(SPACE, name, version)
	return data
end

-- `value` is a table, a chunk of Lua, or with `@` before it the name of a file; further values are the chunk's arguments.
local function set(must_be_new, name, value, ...)
	local kind = type(value)
	if kind == "string" then
		return followers.call("load", SPACE, name, must_be_new, value, ...)
	elseif value ~= nil and kind ~= "table" then
		error("shared data is a table or a chunk of Lua, not a " .. kind, 3)
	end
	shared.publish(SPACE, name, value or {}, must_be_new)
	followers.call("changed", SPACE, name)
end

function sharedata.new(name, value, ...)
	set(true, name, value, ...)
end

function sharedata.update(name, value, ...)
	set(false, name, value, ...)
end

-- Services that read the data keep its last version.
function sharedata.delete(name)
	if not shared.remove(SPACE, name) then
		missing(name)
	end
	followers.call("changed", SPACE, name)
end

-- Drops the versions that this service does not read any more.
function sharedata.flush()
	collectgarbage()
end

-- A table of this service with the contents of the data, or of the table at the given keys in it.
function sharedata.deepcopy(name, ...)
	if not shared.number(SPACE, name) then
		missing(name)
	end
	return (shared.copy(SPACE, name, ...))
end

-- Starts the service behind this module with the service that requires it, as in Skynet.
skynet.init(followers.start)

return sharedata
