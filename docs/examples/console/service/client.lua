local skynet = require "skynet"

local sdb = tonumber((...))

skynet.start(function()
	skynet.fork(function()
		while true do
			skynet.call(sdb, "lua", "get", "name")
			skynet.sleep(50)
		end
	end)
end)
