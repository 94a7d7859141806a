-- A message that one service replaces and others read: see Skynet's skynet.stm.
local core = require "skynet.stm.core"

local writer = {
	__call = function(self, ...)
		core.write(self.object, ...)
	end,
}

local function finish(msg, sz, ok, ...)
	core.release(msg, sz)
	if not ok then
		error((...), 0)
	end
	return true, ...
end

local reader = {
	-- Returns false if there is nothing new, else true and the results of f(msg, sz, extra).
	__call = function(self, f, extra)
		if type(f) ~= "function" then
			error("a reader requires a function, such as skynet.unpack", 2)
		end
		local msg, sz = core.read(self.object)
		if not msg then
			return false
		end
		return finish(msg, sz, pcall(f, msg, sz, extra))
	end,
}

local M = {}

function M.new(...)
	return setmetatable({ object = core.writer(...) }, writer)
end

function M.copy(object)
	return core.copy(object.object)
end

function M.newcopy(address)
	return setmetatable({ object = core.reader(address) }, reader)
end

return M
