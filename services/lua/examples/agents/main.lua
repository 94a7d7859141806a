-- Starts many small services, calls each, ends them, and logs times and the memory of the process.
local skynet = require "skynet.manager"

local count = tonumber(skynet.getenv "agents")
local rows = tonumber(skynet.getenv "rows")

local function resident_kib()
	local file = assert(io.open "/proc/self/statm")
	local pages = file:read "a":match "%d+ (%d+)"
	file:close()
	return tonumber(pages) * 4
end

local function line(...)
	skynet.error("RESULT", (...):format(select(2, ...)))
end

-- Ended services free their memory when their shard has handled their end.
local function settled_kib()
	skynet.sleep(100)
	return resident_kib()
end

local function load_items()
	local before, began = resident_kib(), skynet.hpc()
	require("skynet.sharetable").loadstring("items", [[
		local rows = {}
		for id = 1, ... do
			rows[id] = { id = id, name = "item " .. id, price = id * 3, tags = { "a", "b" } }
		end
		return rows]], rows)
	collectgarbage()
	line("table of %d rows: %.1f MiB, loaded in %.2f s", rows, (settled_kib() - before) / 1024, (skynet.hpc() - began) / 1e9 - 1)
end

skynet.start(function()
	-- What the first service compiles, the others share.
	skynet.send(skynet.newservice "agent", "lua")
	if rows > 0 then
		load_items()
	end
	local before = settled_kib()
	local began = skynet.hpc()
	local agents = {}
	for i = 1, count do
		agents[i] = skynet.newservice "agent"
	end
	local milliseconds = (skynet.hpc() - began) / 1e6
	local started = settled_kib()
	line("%d services: %.1f KiB each, %.3f ms to start one, %.2f s to start all", count, (started - before) / count,
		milliseconds / count, milliseconds / 1e3)
	began = skynet.hpc()
	for i, agent in ipairs(agents) do
		local answer = skynet.call(agent, "lua", i)
		assert(answer == (rows > 0 and (i % rows + 1) * 3 or i), "a wrong answer")
	end
	milliseconds = (skynet.hpc() - began) / 1e6
	line("a call to each, one after the other: %.2f us a call", milliseconds * 1e3 / count)
	line("after the calls: %.1f KiB each", (settled_kib() - before) / count)
	for _, agent in ipairs(agents) do
		skynet.send(agent, "lua")
	end
	agents = nil
	collectgarbage()
	local ended = settled_kib()
	line("all ended: %.1f MiB are left of %.1f", (ended - before) / 1024, (started - before) / 1024)
	skynet.error "ALL DONE"
end)
