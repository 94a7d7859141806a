-- The watchdog: hears of clients, and gives each to one of the agents, in turn.
local skynet = require "skynet"

local gate
local agents = {}
local next_agent = 0

local events = {}

function events.open(fd)
	next_agent = next_agent % #agents + 1
	skynet.call(gate, "lua", "forward", fd, 0, agents[next_agent])
end

local commands = {}

function commands.start()
	for number = 1, tonumber(skynet.getenv("gate_agents")) do
		agents[number] = skynet.newservice("gate_agent")
	end
	skynet.call(gate, "lua", "open", {
		address = "127.0.0.1",
		port = tonumber(skynet.getenv("gate_port")),
		maxclient = tonumber(skynet.getenv("gate_clients")),
		backlog = 1024,
		nodelay = true,
	})
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, event, ...)
		if command == "socket" then
			local run = events[event]
			if run then
				run(...)
			end
		else
			skynet.ret(skynet.pack(commands[command](event, ...)))
		end
	end)
	gate = skynet.newservice("gate")
end)
