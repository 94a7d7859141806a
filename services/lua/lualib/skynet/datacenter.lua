-- The module `skynet.datacenter`: a tree of values that all services of a node share.
local skynet = require "skynet"

local datacenter = {}

local address

local function call(...)
	address = address or skynet.localname ".DATACENTER" or skynet.uniqueservice "datacenterd"
	return skynet.call(address, "lua", ...)
end

function datacenter.get(...)
	return call("QUERY", ...)
end

function datacenter.set(...)
	return call("UPDATE", ...)
end

function datacenter.wait(...)
	return call("WAIT", ...)
end

return datacenter
