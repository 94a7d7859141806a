-- The module `skynet.coroutine`: coroutines in which functions that wait, such as skynet.call, can be used. A plain Lua
-- coroutine would return their yields to the code that resumed it; these pass them on to the host, and only their
-- own `yield` returns to their `resume`.
local coroutine = coroutine
local resume, yield, running, status = coroutine.resume, coroutine.yield, coroutine.running, coroutine.status

local M = {
	isyieldable = coroutine.isyieldable,
	running = running,
}

-- The mark of a yield of this module.
local USER = "USER"

-- true: a coroutine of this module; false: one that waits for the host; nil: not of this module, or ended.
local states = setmetatable({}, { __mode = "k" })
-- By coroutine: the service's coroutine in which it runs.
local base_threads = setmetatable({}, { __mode = "k" })

function M.create(f)
	local co = coroutine.create(f)
	states[co] = true
	return co
end

local continue

-- The whole chain of coroutines yields to the host, and continues when the host resumes it.
local function wait_for_host(co, ...)
	states[co] = false
	return (function(...)
		states[co] = true
		return continue(co, resume(co, ...))
	end)(yield(...))
end

function continue(co, ok, ...)
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
	base_threads[co] = base_threads[from] or from
	return continue(co, resume(co, ...))
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

-- The service's coroutine in which a coroutine runs, and whether the two are the same.
function M.thread(co)
	co = co or running()
	if states[co] ~= nil then
		return base_threads[co], false
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
