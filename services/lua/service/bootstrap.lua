-- The first service: starts the services of the library, then the config's `start`. The order is Skynet's, so that the
-- config's first service has the handle 8 as in Skynet.
local skynet = require "skynet.manager"

skynet.start(function()
	local launcher = assert(skynet.launch("snlua", "launcher"))
	skynet.name(".launcher", launcher)
	skynet.name(".cslave", skynet.newservice "cdummy")
	if not skynet.getenv "standalone" then
		skynet.setenv("standalone", "true")
	end
	skynet.name("DATACENTER", skynet.newservice "datacenterd")
	skynet.newservice "service_mgr"
	if skynet.getenv "enablessl" == "true" then
		require("skynet.service").new("ltls_holder", function()
			require("ltls.init.c").constructor()
		end)
	end
	local ok, problem = pcall(skynet.newservice, skynet.getenv "start" or "main")
	if not ok then
		skynet.error("the first service did not start: " .. tostring(problem))
	end
	skynet.exit()
end)
