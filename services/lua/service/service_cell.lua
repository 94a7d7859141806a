-- A service that runs a function of another service: see the module skynet.service.
local skynet = require "skynet"

local name = ...

local function run(code, ...)
	local start
	skynet.start = function(f)
		start = f
	end
	skynet.dispatch("lua", function()
		error "the function of the service has not called skynet.dispatch"
	end)
	local main = assert(load(code, name))
	main(...)
	if start then
		start()
	end
	skynet.ret()
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		assert(command == "init", "the service is not initialised yet")
		run(...)
	end)
end)
