-- Starts the watchdog, which starts the gate. `gate_port`, `gate_clients` and `gate_agents` are keys of the config.
local skynet = require "skynet"

skynet.start(function()
	local watchdog = skynet.newservice("gate_watchdog")
	skynet.call(watchdog, "lua", "start")
	skynet.error("the gate is ready")
	skynet.exit()
end)
