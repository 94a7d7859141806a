-- Replaces a command of sdb while it runs: inject ADDRESS docs/examples/console/service/fix.lua
local command = _P.lua.command
local before = command.get

function command.get(key)
	return before(key) .. "!"
end

print("get is replaced", ...)
