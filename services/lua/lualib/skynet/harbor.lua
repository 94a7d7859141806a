-- The module `skynet.harbor`. A harbor runs alone here: global names are names of the node.
local skynet = require "skynet"

local M = {}

function M.globalname(name, handle)
	skynet.send(".cslave", "lua", "REGISTER", name, handle or skynet.self())
end

function M.queryname(name)
	return skynet.call(".cslave", "lua", "QUERYNAME", name)
end

function M.link(id)
	skynet.call(".cslave", "lua", "LINK", id)
end

function M.connect(id)
	skynet.call(".cslave", "lua", "CONNECT", id)
end

function M.linkmaster()
	skynet.call(".cslave", "lua", "LINKMASTER")
end

return M
