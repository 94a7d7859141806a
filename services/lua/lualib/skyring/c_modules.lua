-- Loads modules in C. A file is examined before anything of it runs, and one line says what is wrong with it.
local file = require "skyring.c_module"
local load_library = require "skyring.loadlib"

local M = {}

local function fail(name, ...)
	error(("cannot load the module '%s': "):format(name) .. table.concat({ ... }), 0)
end

-- Runs a module's function, and says which module it was if it raises an error.
local function guard(open, path)
	return function(name, ...)
		local ok, value = pcall(open, name, ...)
		if ok then
			return value
		end
		if type(value) ~= "string" then
			error(value, 0)
		end
		local major, minor = value:match "^version mismatch: app%. needs (%d)0(%d)"
		if major then
			fail(name, file.wrong_version(path, major .. "." .. minor))
		end
		fail(name, path, " raised an error while it was loaded: ", value)
	end
end

-- The names of the functions that may open a module. What follows a hyphen is tried second, as in Lua.
local function openers(name)
	local names = {}
	name = name:gsub("%.", "_")
	local before, after = name:match "^([^-]*)%-(.*)$"
	for _, part in ipairs(before and { before, after } or { name }) do
		names[#names + 1] = "luaopen_" .. part
	end
	return names
end

-- A searcher for package.searchers: the file of the module, or with `of_root` that of the first part of its name.
function M.search(name, of_root)
	local root = name
	if of_root then
		root = name:match "^([^.]*)%."
		if not root then
			return nil
		end
	end
	local path, tried = package.searchpath(root, package.cpath)
	if not path then
		return tried
	end
	local refusal = file.refusal(path)
	if refusal then
		fail(name, refusal)
	end
	local names = openers(name)
	for _, opener in ipairs(names) do
		local open, problem, where = load_library(path, opener)
		if open then
			return guard(open, path), path
		end
		if where ~= "init" then
			fail(name, problem)
		end
	end
	if of_root then
		return ("no module '%s' in file '%s'"):format(name, path)
	end
	local found = file.openers(path)
	fail(name, path, " has no function ", names[1],
		found ~= "" and "; it has " .. found or "; no module is in it")
end

-- package.loadlib
function M.load_library(path, name)
	local refusal = file.refusal(path)
	if refusal then
		return nil, refusal, "open"
	end
	return load_library(path, name)
end

return M
