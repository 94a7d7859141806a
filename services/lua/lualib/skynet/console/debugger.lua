-- The console's side of `debug`: passes the lines of a client to the service that is debugged, until one of them is `cont`,
-- the client disconnects, or the service ends.
local skynet = require "skynet"
local channels = require "skynet.debugchannel"

-- How long the console waits for a service that refuses the debugger, in hundredths of a second, before it reads the
-- next line.
local REFUSAL_TICKS = 5

local M = {}

-- Runs a session for the line of a command. A line that is read after the session has ended by itself is left to the
-- console.
function M.run(line, target)
	local connection = line.connection or error("debug needs a connection that stays open: use nc", 0)
	local channel, handle = channels.create()
	local ended, problem, is_reading, waiting = false, nil, false, nil
	skynet.error(("Attach to %s"):format(skynet.address(target)))
	skynet.fork(function()
		local ok, result = pcall(skynet.call, target, "debug", "REMOTEDEBUG", connection.socket, handle)
		ended, problem = true, not ok and tostring(result) or nil
		if is_reading and problem then
			connection.print(("The service has left the debugger: %s"):format(problem))
			connection.print "<CMD Error>"
			connection.is_answered = true
		end
		if waiting then
			skynet.wakeup(waiting)
		end
	end)
	skynet.sleep(REFUSAL_TICKS)
	while not ended do
		is_reading = true
		local text = connection.read()
		is_reading = false
		if ended then
			connection.next_line = text or nil
			channels.release(channel)
			return
		end
		local ok, failure = pcall(channel.write, channel, text or "cont")
		if not ok then
			connection.print(failure)
		elseif text == "cont" then
			waiting = coroutine.running()
			skynet.wait(waiting)
		elseif not text then
			break
		end
	end
	channels.release(channel)
	if problem then
		error("Debugger attach failed: " .. problem, 0)
	end
end

return M
