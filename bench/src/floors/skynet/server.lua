-- The peer `skynet` of Skyring's rig, its server: answers what it is asked.
local skynet = require "skynet.manager"
local cluster = require "skynet.cluster"

skynet.start(function()
	skynet.dispatch("lua", function(session, _, ...)
		if session ~= 0 then
			skynet.retpack(...)
		end
	end)
	cluster.register("echo", skynet.self())
	cluster.open "server"
	io.stdout:write("listening\n")
	io.stdout:flush()
end)
