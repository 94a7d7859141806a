-- Reads a shared table and a plain one with the same contents, and logs the time of each operation.
local skynet = require "skynet.manager"
local sharetable = require "skynet.sharetable"
local measure = require "measure"

local ROWS = 1000

local function contents()
	local rows = {}
	for id = 1, ROWS do
		rows[id] = { id = id, name = "item " .. id, price = id * 3, level = { 1, 2, 3, 4, 5, 6, 7, 8 } }
	end
	local by_name = {}
	for id = 1, ROWS do
		by_name["item" .. id] = id
	end
	return { rows = rows, by_name = by_name, list = { table.unpack((function()
		local list = {}
		for i = 1, ROWS do
			list[i] = i
		end
		return list
	end)()) } }
end

local TIMES = 1000

-- Each runs `TIMES` times the number of operations that it returns.
local operations = {
	{ "a field that is a number (row.price)", function(data)
		local row, sum = data.rows[7], 0
		for _ = 1, ROWS do
			sum = sum + row.price
		end
		return ROWS
	end },
	{ "a field that is a text (row.name)", function(data)
		local row, text = data.rows[7]
		for _ = 1, ROWS do
			text = row.name
		end
		return ROWS
	end },
	{ "a field among 1,000 (by_name[key])", function(data)
		local by_name, id = data.by_name
		for _ = 1, ROWS do
			id = by_name.item500
		end
		return ROWS
	end },
	{ "an item of a list (list[i])", function(data)
		local list, sum = data.list, 0
		for i = 1, ROWS do
			sum = sum + list[i]
		end
		return ROWS
	end },
	{ "a row that is in use (rows[7])", function(data)
		local rows, row = data.rows, data.rows[7]
		for _ = 1, ROWS do
			row = rows[7]
		end
		return ROWS
	end },
	{ "another row each time (rows[i].price)", function(data)
		local rows, sum = data.rows, 0
		for i = 1, ROWS do
			sum = sum + rows[i].price
		end
		return ROWS
	end },
	{ "#list", function(data)
		local list, sum = data.list, 0
		for _ = 1, ROWS do
			sum = sum + #list
		end
		return ROWS
	end },
	{ "ipairs(list), an item", function(data)
		local sum = 0
		for _, value in ipairs(data.list) do
			sum = sum + value
		end
		return ROWS
	end },
	{ "pairs(by_name), a field", function(data)
		local sum = 0
		for _, value in pairs(data.by_name) do
			sum = sum + value
		end
		return ROWS
	end },
	{ "next(by_name, key), a field", function(data)
		local sum = 0
		for _, value in next, data.by_name do
			sum = sum + value
		end
		return ROWS
	end },
}

local function nanoseconds(f, data)
	local best
	for _ = 1, 5 do
		local count = 0
		local each = measure.seconds(function()
			for _ = 1, TIMES / 5 do
				count = count + f(data)
			end
		end) * 1e9 / count
		best = math.min(best or each, each)
	end
	return best
end

skynet.start(function()
	sharetable.loadtable("data", contents())
	local shared, plain = sharetable.query "data", contents()
	for _, operation in ipairs(operations) do
		local name, f = operation[1], operation[2]
		measure.result("%-40s %7.1f ns   plain table %5.1f ns", name, nanoseconds(f, shared), nanoseconds(f, plain))
		skynet.yield()
	end
	measure.done()
end)
