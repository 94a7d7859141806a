-- Stands for Skynet's master of harbors, which Skynet's own bootstrap starts for `standalone`: there are no other harbors.
local skynet = require "skynet"

skynet.start(function() end)
