-- Reads two shared tables all the time, and asserts that each shows one version.
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
local sharedata = require "skynet.sharedata"

local function check(rows)
	local version = rows.version
	for _, row in ipairs(rows) do
		assert(row.version == version, "a row of another version")
	end
	return version
end

local is_over, reads = false, 0

skynet.start(function()
	local rows, data = sharetable.query "rows", sharedata.query "rows"
	skynet.fork(function()
		while not is_over do
			sharetable.update "rows"
			check(rows)
			check(data)
			reads = reads + 1
			skynet.yield()
		end
	end)
	-- Answers when it reads the last version.
	skynet.dispatch("lua", function(_, _, last)
		is_over = true
		repeat
			sharetable.update "rows"
			skynet.yield()
		until check(rows) == last and check(data) == last
		collectgarbage()
		skynet.retpack(reads)
	end)
end)
