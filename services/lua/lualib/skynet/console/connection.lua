-- A client of the debug console: what happens when it does not read, and when it leaves.
--
-- A client that does not read what it is sent gets no further command run. A command of a client that sends no more is
-- given up when it has made no progress for GIVE_UP_TICKS: it may wait for a service that never answers, and would keep
-- the place of a client for ever.
local skynet = require "skynet"
local socket = require "skynet.socket"

-- In hundredths of a second.
local GIVE_UP_TICKS = 1000

local M = {}

-- Serves a client in a coroutine of its own: `handle(connection)` reads and runs its commands, and `on_end` is called once
-- when the client is gone. A line has at most `bytes_max` bytes; lines that are sent ahead wait in the socket.
function M.serve(client, from, bytes_max, handle, on_end)
	local connection = { socket = client, commands = 0 }
	local has_ended, is_full, co = false, false, nil

	local function finish()
		if not has_ended then
			has_ended = true
			on_end()
			pcall(socket.close, client)
			skynet.error(from, "disconnect")
		end
	end

	local function give_up(commands)
		if has_ended then
			return
		end
		skynet.timeout(GIVE_UP_TICKS, function()
			if has_ended then
				return
			elseif connection.commands ~= commands then
				return give_up(connection.commands)
			end
			skynet.error(("%s has left; its command is given up after %d s"):format(from, GIVE_UP_TICKS // 100))
			skynet.killthread(co)
			finish()
		end)
	end

	-- The next line, or nothing at the end.
	function connection.read()
		connection.commands = connection.commands + 1
		while is_full do
			skynet.wait(connection)
		end
		socket.limit(client, bytes_max)
		local line = socket.readline(client, "\n")
		socket.limit(client, nil)
		return line and (line:gsub("\r$", ""))
	end

	co = skynet.fork(function()
		local ok, problem = pcall(function()
			socket.start(client)
			socket.onclose(client, function()
				give_up(connection.commands)
			end)
			socket.warning(client, function(_, kilobytes)
				is_full = kilobytes > 0
				if not is_full then
					skynet.wakeup(connection)
				end
			end)
			skynet.error(from, "connected")
			handle(connection)
		end)
		if not ok then
			skynet.error(from, problem)
		end
		finish()
	end)
end

return M
