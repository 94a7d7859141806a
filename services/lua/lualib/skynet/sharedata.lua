-- The module `skynet.sharedata`: read-only tables that are loaded once and seen by all services of a node.
--
-- Each service that queries a table has its own copy, which follows the updates. The table that `query` returns, and the
-- tables in it, stay valid and show the newest values.
local skynet = require "skynet"

local sharedata = {}

local address
-- By name: the root of this service's copy.
local roots = {}

-- By table node: its root, its parent and key, its children, and the values of a version.
local state_of = setmetatable({}, { __mode = "k" })

local function values_of(node)
	local state = state_of[node]
	local root = state.root
	if state.version ~= root.version then
		local values
		if state.parent then
			values = values_of(state.parent)[state.key]
			if type(values) ~= "table" then
				error(("the key [%s] is not a table after an update"):format(tostring(state.key)), 3)
			end
		else
			values = root.values
		end
		state.values, state.version = values, root.version
	end
	return state.values
end

local node_meta = {}

local function child_of(node, key)
	local state = state_of[node]
	local child = state.children[key]
	if not child then
		child = setmetatable({}, node_meta)
		state_of[child] = { root = state.root, parent = node, key = key, children = {}, version = false }
		state.children[key] = child
	end
	return child
end

function node_meta.__index(node, key)
	local value = values_of(node)[key]
	if type(value) == "table" then
		return child_of(node, key)
	end
	return value
end

function node_meta.__newindex()
	error("shared data is read-only", 2)
end

function node_meta.__len(node)
	return #values_of(node)
end

function node_meta.__pairs(node)
	local values = values_of(node)
	return function(_, key)
		local next_key, value = next(values, key)
		if type(value) == "table" then
			value = child_of(node, next_key)
		end
		return next_key, value
	end, node, nil
end

local function follow(name, root)
	while true do
		local ok, version, values = pcall(skynet.call, address, "lua", "monitor", name, root.version)
		if not ok or not version then
			break
		end
		root.version, root.values = version, values
	end
	if roots[name] == root then
		roots[name] = nil
	end
end

local function copy(value, ...)
	for _, key in ipairs { ... } do
		if type(value) ~= "table" then
			return nil
		end
		value = value[key]
	end
	if type(value) ~= "table" then
		return value
	end
	local copied = {}
	for key, inner in next, value do
		copied[key] = type(inner) == "table" and copy(inner) or inner
	end
	return copied
end

function sharedata.query(name)
	if roots[name] then
		return roots[name].node
	end
	local version, values = skynet.call(address, "lua", "query", name)
	-- Another coroutine may have stored it meanwhile.
	if roots[name] then
		return roots[name].node
	end
	local node = setmetatable({}, node_meta)
	local root = { version = version, values = values, node = node }
	state_of[node] = { root = root, children = {}, version = false }
	roots[name] = root
	skynet.fork(follow, name, root)
	return node
end

function sharedata.new(name, value, ...)
	skynet.call(address, "lua", "new", name, value, ...)
end

function sharedata.update(name, value, ...)
	skynet.call(address, "lua", "update", name, value, ...)
end

function sharedata.delete(name)
	skynet.call(address, "lua", "delete", name)
end

-- Copies are ordinary tables, so the garbage collector frees them.
function sharedata.flush()
	collectgarbage()
end

function sharedata.deepcopy(name, ...)
	local root = roots[name]
	if root then
		return copy(root.values, ...)
	end
	local _, values = skynet.call(address, "lua", "query", name)
	return copy(values, ...)
end

skynet.init(function()
	address = skynet.uniqueservice "sharedatad"
end)

return sharedata
