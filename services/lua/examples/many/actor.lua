-- Calls random services, and answers the calls of others.
local skynet = require "skynet"

local calls, wrong, stopped = 0, 0, false
local finished

local command = {}

function command.begin(actors)
	skynet.fork(function()
		while not stopped do
			local sent = calls * 7 + skynet.self()
			local answer, text = skynet.call(actors[math.random(#actors)], "lua", "echo", sent, "some text")
			if answer ~= sent or text ~= "some text" then
				wrong = wrong + 1
			end
			calls = calls + 1
		end
		finished = true
	end)
end

function command.echo(...)
	return ...
end

function command.stop()
	stopped = true
end

-- Waits for the last call. If its reply is lost, this never answers, and the caller waits too.
function command.result()
	while not finished do
		skynet.sleep(1)
	end
	return calls, wrong
end

skynet.start(function()
	skynet.dispatch("lua", function(session, _, name, ...)
		local f = command[name]
		if session == 0 then
			return f(...)
		end
		skynet.retpack(f(...))
	end)
end)
