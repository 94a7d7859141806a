-- The first service of the game node: the rooms, and a lobby for each gate.
local skynet = require "skynet"

skynet.start(function()
	skynet.newservice("rooms")
	skynet.newservice("lobby", "front")
	skynet.newservice("lobby", "web")
	skynet.error("the chat is ready")
	skynet.exit()
end)
