-- The first service: starts those that others need, then the config's `start`.
local skynet = require "skynet.manager"

skynet.start(function()
	local launcher = assert(skynet.launch("snlua", "launcher"))
	skynet.name(".launcher", launcher)
	skynet.newservice "service_mgr"
	local ok, problem = pcall(skynet.newservice, skynet.getenv "start" or "main")
	if not ok then
		skynet.error("the first service did not start: " .. tostring(problem))
	end
	skynet.exit()
end)
