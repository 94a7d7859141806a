-- The service `gate`: accepts clients, notifies the watchdog of them, and passes their packages to their agents.
local skynet = require "skynet"
local gateserver = require "snax.gateserver"

local watchdog
-- By number: the address; if an agent serves the client, the agent and the source of messages to it.
local clients = {}

skynet.register_protocol { name = "client", id = skynet.PTYPE_CLIENT }

local function notify(...)
	skynet.send(watchdog, "lua", "socket", ...)
end

local handler = {}

function handler.open(source, conf)
	watchdog = conf.watchdog or source
	return conf.address, conf.port
end

function handler.connect(fd, address)
	clients[fd] = { ip = address }
	notify("open", fd, address)
end

function handler.message(fd, msg, sz)
	local client = clients[fd]
	if client and client.agent then
		skynet.redirect(client.agent, client.name, "client", fd, msg, sz)
	else
		notify("data", fd, skynet.tostring(msg, sz))
		skynet.trash(msg, sz)
	end
end

function handler.disconnect(fd)
	clients[fd] = nil
	notify("close", fd)
end

function handler.error(fd, problem)
	clients[fd] = nil
	notify("error", fd, problem)
end

function handler.warning(fd, kilobytes)
	notify("warning", fd, kilobytes)
end

local commands = {}

local function client_of(fd)
	return assert(clients[fd], "the gate has no such client")
end

function commands.forward(source, fd, name, agent)
	local client = client_of(fd)
	client.name, client.agent = name or 0, agent or source
	gateserver.openclient(fd)
end

function commands.accept(_, fd)
	client_of(fd).agent = nil
	gateserver.openclient(fd)
end

function commands.kick(_, fd)
	gateserver.closeclient(fd)
end

function handler.command(command, source, ...)
	local run = commands[command]
	if not run then
		error("gate: unknown command " .. tostring(command), 0)
	end
	return run(source, ...)
end

gateserver.start(handler)
