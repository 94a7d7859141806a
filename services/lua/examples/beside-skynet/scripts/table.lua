-- The memory that each further service needs which asks for a shared table.
local skynet = require "skynet"
local measure = require "measure"
local sharetable = require "skynet.sharetable"

local rows = tonumber(skynet.getenv "rows")
local READERS = 200

skynet.start(function()
	sharetable.loadstring("items", [[
		local rows = {}
		for id = 1, ... do
			rows[id] = { id = id, name = "item " .. id, price = id * 3, tags = { "a", "b" } }
		end
		return rows]], rows)
	local readers = {}
	for i = 1, READERS do
		readers[i] = skynet.newservice "reader"
		-- What a first call needs is not the table's.
		skynet.call(readers[i], "lua")
	end
	collectgarbage()
	local before = measure.settled_kib()
	for i, reader in ipairs(readers) do
		assert(skynet.call(reader, "lua", i) == i * 3, "a wrong price")
	end
	measure.result("table %f", (measure.settled_kib() - before) / READERS)
	measure.done()
end)
