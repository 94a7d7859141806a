-- The module `skynet.datasheet`: reads the tables that `skynet.datasheet.builder` publishes on this node.
--
-- What `query` returns, and the tables in it, follow the updates, as those of `skynet.sharedata` do.
local shared = require "skyring.shared"
local followers = require "skynet.followers"

-- The number of this module's names for `skyring.shared`.
local SPACE = 3

local datasheet = {}

function datasheet.query(name)
	local sheet, version = shared.query(SPACE, name)
	if not sheet then
		error(("there is no datasheet with the name %s: create data first"):format(tostring(name)), 2)
	end
	followers.follow(SPACE, name, version)
	return sheet
end

return datasheet
