-- Starts many small services, calls each, ends them, and logs times and the memory of the process.
local skynet = require "skynet.manager"
local measure = require "measure"

local line, seconds = measure.result, measure.seconds
local count = tonumber(skynet.getenv "agents")
local rows = tonumber(skynet.getenv "rows")

local function load_items()
	local before = measure.resident_kib()
	local loading = seconds(function()
		require("skynet.sharetable").loadstring("items", [[
			local rows = {}
			for id = 1, ... do
				rows[id] = { id = id, name = "item " .. id, price = id * 3, tags = { "a", "b" } }
			end
			return rows]], rows)
	end)
	collectgarbage()
	line("table of %d rows: %.1f MiB, loaded in %.2f s", rows, (measure.settled_kib() - before) / 1024, loading)
end

skynet.start(function()
	-- What the first service compiles, the others share.
	skynet.send(skynet.newservice "agent", "lua")
	if rows > 0 then
		load_items()
	end
	local before = measure.settled_kib()
	local agents = {}
	local starting = seconds(function()
		for i = 1, count do
			agents[i] = skynet.newservice "agent"
		end
	end)
	local started = measure.settled_kib()
	line("%d services: %.1f KiB each, %.3f ms to start one, %.2f s to start all", count, (started - before) / count,
		starting * 1e3 / count, starting)
	local calling = seconds(function()
		for i, agent in ipairs(agents) do
			local answer = skynet.call(agent, "lua", i)
			assert(answer == (rows > 0 and (i % rows + 1) * 3 or i), "a wrong answer")
		end
	end)
	line("a call to each, one after the other: %.2f us a call", calling * 1e6 / count)
	line("after the calls: %.1f KiB each", (measure.settled_kib() - before) / count)
	for _, agent in ipairs(agents) do
		skynet.send(agent, "lua")
	end
	agents = nil
	collectgarbage()
	local ended = measure.settled_kib()
	line("all ended: %.1f MiB are left of %.1f", (ended - before) / 1024, (started - before) / 1024)
	measure.done()
end)
