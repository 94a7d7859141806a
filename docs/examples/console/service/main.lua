local skynet = require "skynet"

skynet.start(function()
	skynet.newservice("debug_console", skynet.getenv "console_port" or 8000)
	skynet.newservice("client", skynet.newservice "sdb")
	skynet.fork(function()
		while true do
			skynet.sleep(6000)
			skynet.error "a minute has passed"
		end
	end)
end)
