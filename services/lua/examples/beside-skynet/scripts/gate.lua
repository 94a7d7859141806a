-- Opens a gate that echoes, until the process is killed.
local skynet = require "skynet"
local measure = require "measure"

skynet.start(function()
	local gate = skynet.newservice "echo"
	skynet.call(gate, "lua", "open", {
		address = "127.0.0.1",
		port = tonumber(skynet.getenv "gate_port"),
		maxclient = 1024,
		nodelay = true,
	})
	measure.done()
end)
