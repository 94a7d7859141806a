-- Keeps the services that were created from functions: see the module skynet.service.
local skynet = require "skynet"

-- By name: the address, the error of a failed start, or the calls that wait for the start.
local services = {}

local function entry(name)
	local service = services[name]
	if not service then
		service = { waiting = {} }
		services[name] = service
	end
	return service
end

local command = {}

function command.test(name)
	local service = entry(name)
	if service.starting then
		return skynet.retpack(nil, true)
	elseif service.problem then
		error(service.problem, 0)
	end
	skynet.retpack(service.address)
end

function command.query(name)
	local service = entry(name)
	if service.address then
		return skynet.retpack(service.address)
	elseif service.problem then
		error(service.problem, 0)
	end
	table.insert(service.waiting, skynet.response())
end

local function start(name, code, ...)
	local address = skynet.newservice("service_cell", name)
	local ok, problem = pcall(skynet.call, address, "lua", "init", code, ...)
	if not ok then
		skynet.send(address, "debug", "EXIT")
		error(problem, 0)
	end
	return address
end

local function describe(...)
	local texts = table.pack(...)
	for i = 1, texts.n do
		texts[i] = tostring(texts[i])
	end
	return table.concat(texts, ",")
end

function command.launch(name, code, ...)
	local service = entry(name)
	if service.address then
		return skynet.retpack(service.address)
	elseif service.starting then
		table.insert(service.waiting, skynet.response())
		return
	end
	service.starting = true
	local ok, result = pcall(start, name, code, ...)
	service.starting = nil
	local waiting = service.waiting
	service.waiting = {}
	if ok then
		service.address = result
		service.arguments, service.time = describe(...), skynet.time()
	else
		service.problem = result
	end
	for _, answer in ipairs(waiting) do
		answer(ok, result)
	end
	if not ok then
		error(result, 0)
	end
	skynet.retpack(result)
end

function command.close(name)
	local service = services[name]
	if not service or service.starting then
		return skynet.retpack(nil)
	end
	services[name] = nil
	skynet.retpack(service.address)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, name, ...)
		local f = command[name] or error("unknown command " .. tostring(name))
		f(...)
	end)
	skynet.info_func(function()
		local info = {}
		for name, service in pairs(services) do
			info[service.address and skynet.address(service.address) or name] = {
				name = name,
				init = service.arguments,
				time = service.time and os.date("%Y %b %d %T %z", math.floor(service.time)),
				status = service.starting and "booting" or nil,
			}
		end
		return info
	end)
end)
