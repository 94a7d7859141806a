-- How the debug console shows values: Skynet's form.
local skynet = require "skynet"

local M = {}

function M.line(...)
	local texts = table.pack(...)
	for i = 1, texts.n do
		texts[i] = tostring(texts[i])
	end
	return table.concat(texts, "\t") .. "\n"
end

local function sorted_keys(t)
	local keys = {}
	for key in pairs(t) do
		keys[#keys + 1] = key
	end
	table.sort(keys, function(a, b)
		return tostring(a) < tostring(b)
	end)
	return keys
end

local function fields(t)
	local texts = {}
	for _, key in ipairs(sorted_keys(t)) do
		texts[#texts + 1] = ("%s:%s"):format(key, tostring(t[key]))
	end
	return table.concat(texts, "\t")
end

-- A line for each key.
function M.list(print, list)
	for _, key in ipairs(sorted_keys(list)) do
		local value = list[key]
		print(key, type(value) == "table" and fields(value) or tostring(value))
	end
end

local function bytes(count)
	if not count or count == 0 then
		return nil
	elseif count < 1024 then
		return count
	elseif count < 1024 * 1024 then
		return count / 1024 .. "K"
	end
	return count / (1024 * 1024) .. "M"
end

local function since(time)
	if not time then
		return nil
	end
	local ticks = skynet.now() - time
	if ticks < 6000 then
		return ticks / 100 .. "s"
	end
	local hours, minutes = ticks // 360000, ticks % 360000 // 6000
	return ("%s%d:%.2gs"):format(hours == 0 and "" or hours .. ":", minutes, ticks % 6000 / 100)
end

-- Turns the numbers of an entry of netstat into texts.
function M.describe_socket(info)
	info.address = skynet.address(info.address)
	info.read, info.write, info.wbuffer = bytes(info.read), bytes(info.write), bytes(info.wbuffer)
	info.rtime, info.wtime = since(info.rtime), since(info.wtime)
end

return M
