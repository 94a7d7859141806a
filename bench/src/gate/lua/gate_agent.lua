-- An agent: answers each package of its clients with its own bytes.
local skynet = require "skynet"
local socket = require "skynet.socket"

skynet.register_protocol {
	name = "client",
	id = skynet.PTYPE_CLIENT,
	unpack = skynet.tostring,
	dispatch = function(fd, _, package)
		-- The session is the number of the client, and nobody waits for an answer.
		skynet.ignoreret()
		socket.write(fd, string.pack(">s2", package))
	end,
}

skynet.start(function() end)
