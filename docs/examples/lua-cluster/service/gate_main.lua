-- The first service of the gate node: keeps players on the database node, in every way that a cluster has.
local skynet = require "skynet"
local cluster = require "skynet.cluster"

skynet.start(function()
	-- Calls, by the name that the store is published under.
	cluster.call("db", "@store", "SET", "anna", { level = 3, items = { "sword", "shield" } })
	local anna = cluster.call("db", "@store", "GET", "anna")
	skynet.error("anna has level", anna.level, "and carries", table.concat(anna.items, ", "))

	-- Sends, which nobody answers; the call after them finds their work done.
	for i = 1, 10 do
		cluster.send("db", "@store", "SET", "player" .. i, { level = i })
	end
	skynet.error("players:", cluster.call("db", "@store", "COUNT"))

	-- A local service that stands for the one over there.
	local store = cluster.proxy("db", "@store")
	skynet.error("player7 has level", skynet.call(store, "lua", "GET", "player7").level)

	-- An error of the other side is an error of the call.
	local ok = pcall(cluster.call, "db", "@store", "DROP")
	skynet.error("DROP worked:", ok)

	cluster.open "gate_beijing"
	skynet.error "Gate node ready"
end)
