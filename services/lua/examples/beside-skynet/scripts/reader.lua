-- Queries the shared table when it is first asked for a row, and answers with the row's price.
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"

local items

skynet.start(function()
	skynet.dispatch("lua", function(_, _, id)
		if id then
			items = items or sharetable.query "items"
		end
		skynet.retpack(id and items[id].price)
	end)
end)
