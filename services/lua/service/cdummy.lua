-- The service `.cslave` of a harbor that runs alone: global names are names of this node, and there are no other harbors.
-- It serves as Skynet's cdummy (harbor 0) and as its cslave.
local skynet = require "skynet.manager"
local core = require "skynet.core"

local number = tonumber(skynet.getenv "harbor") or 0

-- By global name: the closures that answer those who wait for it.
local waiting = {}

-- The closures that would tell that the master has ended, which it does not before this node.
local linked = {}

local command = {}

-- A service has, or gets, a global name.
function command.REGISTER(name, handle)
	if skynet.localname("." .. name) ~= handle then
		core.command("NAME", "." .. name .. " " .. skynet.address(handle))
	end
	local answers = waiting[name] or {}
	waiting[name] = nil
	for _, answer in ipairs(answers) do
		answer(true, handle)
	end
end

-- Waits for a global name that no service has yet, as in Skynet.
function command.QUERYNAME(name)
	if name:sub(1, 1) == "." then
		return skynet.retpack(skynet.localname(name))
	end
	local handle = skynet.localname("." .. name)
	if handle then
		return skynet.retpack(handle)
	end
	waiting[name] = waiting[name] or {}
	table.insert(waiting[name], skynet.response())
end

-- Returns when the other harbor is down: at once.
function command.LINK()
	skynet.retpack()
end

function command.LINKMASTER()
	if number == 0 then
		error("there is no master of harbors: this node is none (harbor = 0)", 0)
	end
	linked[#linked + 1] = skynet.response()
end

function command.CONNECT(id)
	error(("harbor %s does not exist: a harbor runs alone here, and nodes connect by skynet.cluster"):format(id), 0)
end

skynet.start(function()
	assert(skynet.launch("harbor", number, skynet.self()))
	skynet.dispatch("lua", function(_, _, name, ...)
		local f = command[name] or error("a harbor has no command " .. tostring(name), 0)
		f(...)
	end)
	-- Requests of the kind `harbor` for names.
	skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, unpack = skynet.tostring, dispatch = function() end }
end)
