-- The first service: starts those that others need, then the config's `start`. In Skynet's order, so that the
-- config's first service has the handle 8 as it has there.
local skynet = require "skynet.manager"

skynet.start(function()
	local launcher = assert(skynet.launch("snlua", "launcher"))
	skynet.name(".launcher", launcher)
	skynet.name(".cslave", skynet.newservice "cdummy")
	skynet.setenv("standalone", "true")
	skynet.name("DATACENTER", skynet.newservice "datacenterd")
	skynet.newservice "service_mgr"
	local ok, problem = pcall(skynet.newservice, skynet.getenv "start" or "main")
	if not ok then
		skynet.error("the first service did not start: " .. tostring(problem))
	end
	skynet.exit()
end)
