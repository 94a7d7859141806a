-- Follows the versions of shared tables, for `skynet.sharedata` and `skynet.datasheet`: the service `sharedatad` answers
-- when there is a newer one.
local skynet = require "skynet"
local shared = require "skyring.shared"

local followers = {}

local address
-- By name, for each number of a module: whether a coroutine follows it.
local followed = { {}, {}, {} }

function followers.start()
	address = address or skynet.uniqueservice "sharedatad"
	return address
end

function followers.call(...)
	return skynet.call(followers.start(), "lua", ...)
end

local function follow(space, name, version)
	while true do
		local ok, newest = pcall(followers.call, "monitor", space, name, version)
		if not ok or not newest then
			break
		end
		shared.update(space, name)
		version = newest
	end
	followed[space][name] = nil
end

function followers.follow(space, name, version)
	if not followed[space][name] then
		followed[space][name] = true
		skynet.fork(follow, space, name, version)
	end
end

return followers
