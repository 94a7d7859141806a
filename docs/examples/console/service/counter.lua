-- A snax service.
local count = 0

function response.count()
	return count
end

function accept.add(n)
	count = count + n
end

function init(first)
	count = tonumber(first) or 0
end
