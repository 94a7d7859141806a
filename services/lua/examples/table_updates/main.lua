-- Publishes versions of shared tables while services read them, and compares the memory of the process before and after.
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
local sharedata = require "skynet.sharedata"
local measure = require "measure"

local function setting(name)
	return tonumber(skynet.getenv(name))
end

local UPDATES, READERS, ENTRIES = setting "updates", setting "readers", setting "entries"
local ROWS = 100
-- What the allocator may keep, in KiB.
local SLACK = 16 * 1024

local function rows(version)
	local rows = { version = version }
	for id = 1, ROWS do
		rows[id] = { id = id, version = version, name = "row " .. id }
	end
	return rows
end

local function publish(version)
	sharetable.loadtable("rows", rows(version))
	sharedata.update("rows", rows(version))
	skynet.yield()
end

local function resident()
	collectgarbage()
	return measure.settled_kib()
end

local function older_versions()
	local tables = skynet.call(skynet.uniqueservice "sharetabled", "debug", "INFO").rows
	local data = skynet.call(skynet.uniqueservice "sharedatad", "debug", "INFO").sharedata.rows
	return tables:find "older" or data:find "older"
end

local function updates()
	sharetable.loadtable("rows", rows(0))
	sharedata.new("rows", rows(0))
	local readers = {}
	for at = 1, READERS do
		readers[at] = skynet.newservice "reader"
	end
	local tenth = UPDATES // 10
	for version = 1, tenth do
		publish(version)
	end
	local before = resident()
	local taken = measure.seconds(function()
		for version = tenth + 1, UPDATES do
			publish(version)
		end
	end)
	local reads = 0
	for _, reader in ipairs(readers) do
		reads = reads + skynet.call(reader, "lua", UPDATES)
	end
	local after = resident()
	measure.result("%d updates of two tables of %d rows under %d readers: %.2f ms each; each reader read both %d times",
		UPDATES, ROWS, READERS, taken * 1e3 / (UPDATES - tenth), reads // READERS)
	measure.result("memory after a tenth of the updates: %.1f MiB; after all: %.1f MiB", before / 1024, after / 1024)
	assert(not older_versions(), "a service still reads an older version")
	assert(after < before + SLACK, "memory grows with the updates")
end

-- Returns the memory of the process afterwards.
local function large(before)
	local loading = measure.seconds(function()
		sharetable.loadstring("large", "local t = {} for i = 1, ... do t['key ' .. i] = i end return t", ENTRIES)
	end)
	local large = sharetable.query "large"
	local with = resident()
	local sum, count = 0, 0
	local reading = measure.seconds(function()
		for _, value in pairs(large) do
			sum, count = sum + value, count + 1
		end
	end)
	assert(count == ENTRIES and sum == ENTRIES * (ENTRIES + 1) // 2 and large["key " .. ENTRIES] == ENTRIES)
	large = nil
	sharetable.loadtable("large", {})
	local after = resident()
	measure.result("a table of %d entries: %.1f MiB, loaded in %.2f s, read in %.2f s; %.1f MiB are left when it is replaced",
		ENTRIES, (with - before) / 1024, loading, reading, (after - before) / 1024)
	return after
end

skynet.start(function()
	updates()
	-- The allocator keeps some memory of the first time, and none in addition of the second.
	local first = large(resident())
	assert(large(first) < first + SLACK, "the memory of the table is not given back")
	measure.done()
end)
