-- Stands where Skynet has its harbors, so that services have the handles that they have there. Nodes talk to each
-- other by skynet.cluster.
local skynet = require "skynet.manager"

skynet.start(function()
	assert(skynet.launch("harbor", 0, skynet.self()))
	skynet.dispatch("lua", function(_, _, command)
		error("there are no harbors here: " .. tostring(command), 0)
	end)
end)
