-- The first service of the database node: a store, published to the cluster as @store.
local skynet = require "skynet"
local cluster = require "skynet.cluster"

skynet.start(function()
	local store = skynet.newservice("store", "players")
	cluster.register("store", store)
	cluster.open "db"
	skynet.error "Database node ready"
end)
