-- A gate that answers each message of a client with the same bytes.
local gateserver = require "snax.gateserver"
local netpack = require "skynet.netpack"
local socketdriver = require "skynet.socketdriver"

local handler = {}

function handler.connect(fd)
	gateserver.openclient(fd)
end

function handler.message(fd, message, size)
	socketdriver.send(fd, netpack.pack(netpack.tostring(message, size)))
end

gateserver.start(handler)
