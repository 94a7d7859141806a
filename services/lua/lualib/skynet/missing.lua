-- Tells of a field that a built-in module does not have and the user's own copy of the module has, as a fork of Skynet may.
-- What then fails is the code that uses the field. `skynet.infrequent` and `skynet.socket` load this module when a field is
-- not there.
local core = require "skynet.core"

-- By module and field: whether the copy was searched for it.
local searched = {}

-- Whether a file gives a table a field of this name.
local function has_field(path, key)
	local file = io.open(path, "rb")
	local text = file and file:read "a" or ""
	if file then
		file:close()
	end
	return text:find("function%s+[%w_]+[.:]" .. key .. "%s*%(") or text:find("%." .. key .. "%s*=[^=]")
		or text:find("\n%s*" .. key .. "%s*=[^=]")
end

return function(name, key)
	if type(key) ~= "string" or not key:find "^[%a_][%w_]*$" or searched[name .. "." .. key] then
		return
	end
	searched[name .. "." .. key] = true
	local path = package.searchpath(name, package.path)
	if path and has_field(path, key) then
		core.error(("the built-in %s has no %s, and %s has it: with `builtin_lualib = false` in the config that file is used")
			:format(name, key, path))
	end
end
