-- The protocol `debug`: the commands of a debug console, which every service answers.
local extern = {}

local function make_commands(skynet, info_of)
	local commands = {}

	function commands.MEM()
		skynet.retpack(collectgarbage "count")
	end

	local collecting = false
	function commands.GC()
		if collecting then
			return
		end
		collecting = true
		local before, started = collectgarbage "count", skynet.now()
		collectgarbage "collect"
		-- Queued GC commands are handled meanwhile, find `collecting` set, and return.
		skynet.yield()
		skynet.error(("GC %.2f Kb -> %.2f Kb, cost %.2f sec"):format(
			before, collectgarbage "count", (skynet.now() - started) / 100))
		collecting = false
	end

	function commands.STAT()
		skynet.retpack {
			task = skynet.task(),
			mqlen = skynet.stat "mqlen",
			cpu = skynet.stat "cpu",
			message = skynet.stat "message",
		}
	end

	function commands.KILLTASK(thread)
		local co = skynet.killthread(thread)
		if co then
			skynet.error(("Kill %s"):format(co))
			return skynet.ret()
		end
		skynet.error(("Kill %s : Not found"):format(thread))
		skynet.retpack "Not found"
	end

	function commands.TASK(session)
		if session then
			return skynet.retpack(skynet.task(session))
		end
		local tasks = {}
		skynet.task(tasks)
		skynet.retpack(tasks)
	end

	function commands.UNIQTASK()
		skynet.retpack(skynet.uniqtask())
	end

	function commands.INFO(...)
		local f = info_of()
		if f then
			return skynet.retpack(f(...))
		end
		skynet.retpack(nil)
	end

	function commands.EXIT()
		skynet.exit()
	end

	function commands.TERM(service)
		skynet.term(service)
	end

	function commands.SUPPORT(name)
		skynet.retpack(skynet.dispatch(name) ~= nil)
	end

	function commands.PING()
		skynet.ret()
	end

	-- Not answered until this service ends: the caller then gets an error.
	function commands.LINK()
		skynet.response()
	end

	function commands.TRACELOG(name, flag)
		if type(name) ~= "string" then
			name, flag = "lua", name
		end
		skynet.error(("Turn trace log %s for %s"):format(flag, name))
		skynet.traceproto(name, flag)
		skynet.ret()
	end

	-- Runs a chunk in the service, and answers with its output.
	function commands.RUN(source, name, ...)
		local ok, output = require "skynet.inject"(skynet, source, name, table.pack(...))
		collectgarbage "collect"
		skynet.retpack(ok, table.concat(output, "\n"))
	end

	-- Debugs the service: answered when the session ends.
	function commands.REMOTEDEBUG(fd, handle)
		require "skynet.remotedebug".start(fd, handle)
	end

	return commands
end

local M = {}

function M.init(skynet)
	local info
	function skynet.info_func(f)
		info = f
	end

	local commands
	skynet.register_protocol {
		name = "debug",
		id = skynet.PTYPE_DEBUG,
		pack = skynet.pack,
		unpack = skynet.unpack,
		dispatch = function(_, _, command, ...)
			commands = commands or make_commands(skynet, function() return info end)
			local f = commands[command] or extern[command]
			if not f then
				error("there is no debug command " .. tostring(command), 0)
			end
			f(...)
		end,
	}
end

function M.reg_debugcmd(name, f)
	extern[name] = f
end

return M
