-- A placeholder for the service of Skynet's harbors, so that services have the same handles as in Skynet. Nodes
-- communicate by skynet.cluster.
local skynet = require "skynet.manager"

skynet.start(function()
	assert(skynet.launch("harbor", 0, skynet.self()))
	skynet.dispatch("lua", function(_, _, command)
		error("there are no harbors here: " .. tostring(command), 0)
	end)
end)
