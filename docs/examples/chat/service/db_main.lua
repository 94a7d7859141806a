-- The first service of the database node.
local skynet = require "skynet"
local cluster = require "skynet.cluster"

skynet.start(function()
	cluster.register("players", skynet.newservice("players"))
	cluster.open "db"
	skynet.error("the database of the chat is ready")
	skynet.exit()
end)
