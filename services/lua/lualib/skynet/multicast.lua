-- The module `skynet.multicast`: channels on which a service publishes and others subscribe.
--
-- A message is the number of its channel, in eight bytes, and the values that the publisher has packed.
local skynet = require "skynet"

local multicast = {}

local address
-- By number of the channel: the channel object of this service that has subscribed.
local subscribed = {}

local channel = {}
local channel_meta = {
	__index = channel,
	__tostring = function(self)
		return ("[Multicast:%x]"):format(self.channel)
	end,
}

local function number_of(self)
	return assert(self.channel, "the channel was deleted")
end

function multicast.new(conf)
	conf = conf or {}
	return setmetatable({
		channel = conf.channel or skynet.call(address, "lua", "NEW"),
		__pack = conf.pack or skynet.packstring,
		__unpack = conf.unpack or skynet.unpack,
		__dispatch = conf.dispatch,
	}, channel_meta)
end

function channel:delete()
	local number = number_of(self)
	skynet.send(address, "lua", "DEL", number)
	subscribed[number] = nil
	self.channel, self.__subscribed = nil, nil
end

function channel:publish(...)
	local number = number_of(self)
	local msg, sz = self.__pack(...)
	local text = skynet.tostring(msg, sz) or ""
	skynet.trash(msg, sz)
	skynet.call(address, "lua", "PUB", number, text)
end

function channel:subscribe()
	local number = number_of(self)
	if not self.__subscribed then
		skynet.call(address, "lua", "SUB", number)
		self.__subscribed = true
		subscribed[number] = self
	end
end

function channel:unsubscribe()
	if self.__subscribed then
		local number = number_of(self)
		skynet.send(address, "lua", "USUB", number)
		self.__subscribed = nil
		subscribed[number] = nil
	end
end

skynet.init(function()
	address = skynet.uniqueservice "multicastd"
	skynet.register_protocol {
		name = "multicast",
		id = skynet.PTYPE_MULTICAST,
		unpack = function(msg, sz)
			return string.unpack("<I8s4", skynet.tostring(msg, sz))
		end,
		dispatch = function(_, source, number, text)
			local self = subscribed[number]
			-- A message that was in flight when the service unsubscribed is dropped.
			if self and self.__dispatch then
				self.__dispatch(self, source, self.__unpack(text, #text))
			end
		end,
	}
end)

return multicast
