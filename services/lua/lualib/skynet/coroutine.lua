-- The module `skynet.coroutine`: coroutines in which skynet.call and its like can be used. A coroutine of plain
-- Lua would hand their yields to whoever resumed it; these pass them on to the host, and only their own
-- `yield` goes to their `resume`.
local coroutine = coroutine
local resume, yield, running, status = coroutine.resume, coroutine.yield, coroutine.running, coroutine.status

local M = {
	isyieldable = coroutine.isyieldable,
	running = running,
}

-- What marks a yield of this module.
local USER = "USER"

-- true: a coroutine of this module; false: one that waits for the host; nil: none, or it has ended.
local states = setmetatable({}, { __mode = "k" })
-- The service's own coroutine at the bottom of each.
local bottoms = setmetatable({}, { __mode = "k" })

function M.create(f)
	local co = coroutine.create(f)
	states[co] = true
	return co
end

local go_on

-- The host lets the whole chain wait, and this coroutine goes on when it does.
local function wait_for_host(co, ...)
	states[co] = false
	return (function(...)
		states[co] = true
		return go_on(co, resume(co, ...))
	end)(yield(...))
end

function go_on(co, ok, ...)
	if not ok then
		states[co] = nil
		return false, ...
	elseif status(co) == "dead" then
		states[co] = nil
		return true, ...
	elseif (...) == USER then
		return true, select(2, ...)
	end
	return wait_for_host(co, ...)
end

function M.resume(co, ...)
	local state = states[co]
	if state == false then
		return false, "cannot resume a skynet coroutine suspend by skynet framework"
	elseif state == nil then
		if status(co) == "dead" then
			return resume(co, ...)
		end
		return false, "cannot resume none skynet coroutine"
	end
	local from = running()
	bottoms[co] = bottoms[from] or from
	return go_on(co, resume(co, ...))
end

function M.yield(...)
	return yield(USER, ...)
end

function M.status(co)
	local state = status(co)
	if state == "suspended" and states[co] == false then
		return "blocked"
	end
	return state
end

-- The service's coroutine that a coroutine runs in, and whether it is that one itself.
function M.thread(co)
	co = co or running()
	if states[co] ~= nil then
		return bottoms[co], false
	end
	return co, true
end

local function results(ok, ...)
	if ok then
		return ...
	end
	error((...), 0)
end

function M.wrap(f)
	local co = M.create(f)
	return function(...)
		return results(M.resume(co, ...))
	end
end

function M.close(co)
	states[co] = nil
	return coroutine.close(co)
end

return M
