-- The target of a gate: hears of its clients, and gives each that logs in to an agent, which has its packets from then on.
local skynet = require "skynet"
require "skynet.manager"

local NAME_BYTES_MAX = 20

-- `front` or `web`.
local gate = ...

-- Of each client that has begun to log in: its agent once there is one, and whether the client has gone meanwhile.
local clients = {}

local function log_in(client, name)
	local state = {}
	clients[client] = state
	local agent = skynet.newservice("agent")
	local ok, problem = pcall(skynet.call, agent, "lua", "start", { gate = "@" .. gate, client = client, name = name })
	if ok and not problem and not state.has_gone then
		state.agent = agent
		return
	end
	clients[client] = nil
	skynet.send(agent, "lua", "leave")
	return ok and problem and "error " .. problem or "error the login failed"
end

local commands = {}

function commands.open()
end

-- A packet of a client that has no agent yet. The answer goes to the client.
function commands.data(client, line)
	local name = line:match("^login ([%w_-]+)$")
	if clients[client] then
		return "error wait for the welcome"
	elseif not name or #name > NAME_BYTES_MAX then
		return "error log in first: login NAME, with up to 20 letters, digits, - or _"
	end
	return log_in(client, name)
end

function commands.close(client)
	local state = clients[client]
	clients[client] = nil
	if state then
		state.has_gone = true
		if state.agent then
			skynet.send(state.agent, "lua", "leave")
		end
	end
end

skynet.start(function()
	skynet.register(".lobby_" .. gate)
	skynet.dispatch("lua", function(session, _, command, ...)
		local run = assert(commands[command], "lobby: unknown command")
		local answer = run(...)
		if session ~= 0 then
			skynet.ret(skynet.pack(answer))
		end
	end)
end)
