-- The module `skynet.datasheet.builder`: publishes tables that services read with `skynet.datasheet`.
local skynet = require "skynet"
local shared = require "skyring.shared"
local followers = require "skynet.followers"

local SPACE = 3

local builder = {}

-- A table, or a text that `compile` returned.
local function values_of(value)
	if type(value) == "string" then
		value = skynet.unpack(value)
	end
	assert(type(value) == "table", "a datasheet is a table, or what builder.compile returned")
	return value
end

function builder.new(name, value)
	shared.publish(SPACE, name, values_of(value), true)
	followers.call("changed", SPACE, name)
end

function builder.update(name, value)
	assert(shared.number(SPACE, name), "there is no datasheet with this name: call builder.new")
	shared.publish(SPACE, name, values_of(value))
	followers.call("changed", SPACE, name)
end

-- A text that contains the table, for `new` and `update`.
function builder.compile(value)
	assert(type(value) == "table", "a datasheet is a table")
	return skynet.packstring(value)
end

skynet.init(followers.start)

return builder
