-- The lines that a debug console passes to the service that it is attached to: see Skynet's skynet.debugchannel.
local core = require "skynet.debugchannel.core"

local channel = {}
channel.__index = channel

function channel:read(timeout)
	return core.read(self.channel_end, timeout)
end

function channel:write(line)
	core.write(self.channel_end, line)
end

local M = { sethook = core.sethook }

function M.create()
	local channel_end, address = core.create()
	return setmetatable({ channel_end = channel_end }, channel), address
end

function M.connect(address)
	return setmetatable({ channel_end = core.connect(address) }, channel)
end

-- The collector releases the end.
function M.release(object)
	object.channel_end = nil
end

return M
