-- The debug console over HTTP: one request a connection, answered with the output of one command.
local socket = require "skynet.socket"
local output = require "skynet.console.output"

-- Most lines of the head of a request.
local HEAD_LINES_MAX = 100

local M = {}

-- Also requests of other methods, which are refused: their headers are no commands.
function M.is_request(line)
	return line:find "^GET /" ~= nil or line:find "^POST /" ~= nil or line:find "^%u+ +%S+ +HTTP/%d" ~= nil
end

-- Whether a page of a web site sends the request: a browser says so. The console has no password, so any page that its
-- user looks at could send commands.
local function is_of_page(name, value)
	return name == "origin" or name == "sec-fetch-site" and value ~= "none" and value ~= "same-origin"
end

local function decode(text)
	return (text:gsub("%%(%x%x)", function(hex)
		return string.char(tonumber(hex, 16))
	end))
end

-- The command of a request whose first line is this, or nil and a status.
local function command_of(client, first, bytes_max)
	local method, path = first:match "^(%u+) +(%S+)"
	local length, refusal = 0, nil
	for count = 1, HEAD_LINES_MAX + 1 do
		local line = socket.readline(client, "\n")
		if not line or count > HEAD_LINES_MAX then
			return nil, "400 Bad Request"
		end
		line = (line:gsub("\r$", ""))
		if line == "" then
			break
		end
		local name, value = line:match "^([^:]+):%s*(.-)%s*$"
		name = name and name:lower()
		if name == "content-length" then
			length = math.tointeger(tonumber(value))
			if not length or length < 0 then
				return nil, "400 Bad Request"
			end
		elseif name == "transfer-encoding" then
			refusal = refusal or "411 Length Required"
		elseif is_of_page(name, value) then
			refusal = "403 Forbidden"
		end
	end
	if method ~= "GET" and method ~= "POST" then
		return nil, "405 Method Not Allowed"
	elseif refusal then
		return nil, refusal
	elseif method == "GET" then
		return decode((path:sub(2):gsub("/", " ")))
	elseif length > bytes_max then
		return nil, "413 Content Too Large"
	elseif length == 0 then
		return ""
	end
	local body = socket.read(client, length)
	if not body then
		return nil, "400 Bad Request"
	end
	return body
end

-- Answers a request. `run(command, print)` carries it out. Without `has_head` the answer is only the output: the client
-- has been greeted already, so that a head would come too late.
function M.answer(client, first, bytes_max, has_head, run)
	local command, status = command_of(client, first, bytes_max)
	local lines = {}
	if command then
		run(command, function(...)
			lines[#lines + 1] = output.line(...)
		end)
	else
		lines[1] = status .. "\n"
	end
	local body = table.concat(lines)
	if has_head then
		socket.write(client, ("HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
			.. "connection: close\r\n\r\n"):format(status or "200 OK", #body))
	end
	socket.write(client, body)
end

return M
