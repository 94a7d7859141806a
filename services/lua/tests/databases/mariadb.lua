-- The part of MySQL's protocol that the test needs, on the built-in skynet.socketchannel and skynet.crypt. The test puts
-- the port in the place of PORT.
local socketchannel = require "skynet.socketchannel"
local crypt = require "skynet.crypt"

local CAPABILITIES = 0x1 | 0x4 | 0x8 | 0x200 | 0x8000 | 0x80000 -- with a database, protocol 4.1, with a plugin

local function packet(number, body)
	return string.pack("<I3B", #body, number) .. body
end

local function read_packet(socket)
	local length = string.unpack("<I3", socket:read(4))
	local body = socket:read(length)
	if body:byte(1) == 0xff then
		error(body:sub(4), 0)
	end
	return body
end

local function handshake(socket)
	local body = read_packet(socket)
	local _, first, at = string.unpack("<zI4", body, 2)
	first, at = string.unpack("c8", body, at)
	return true, first .. string.unpack("z", body, at + 19)
end

local function done(socket)
	return read_packet(socket):byte(1) == 0, "the server does not answer OK"
end

-- The first value of the first row.
local function value(socket)
	local columns = read_packet(socket):byte(1)
	for _ = 1, columns + 1 do
		read_packet(socket)
	end
	local found
	while true do
		local row = read_packet(socket)
		if row:byte(1) == 0xfe then
			return true, found
		end
		found = found or string.unpack("s1", row)
	end
end

local function log_in(db)
	local scramble = db:response(handshake)
	local hash = crypt.sha1 "secret"
	local token = crypt.xor_str(hash, crypt.sha1(scramble .. crypt.sha1(hash)))
	local body = string.pack("<I4I4B", CAPABILITIES, 1 << 24, 45) .. ("\0"):rep(23)
		.. string.pack("zs1zz", "root", token, "skyring", "mysql_native_password")
	db:request(packet(1, body), done)
end

local function query(db, text, response)
	return db:request(packet(0, "\3" .. text), response)
end

local function connect()
	local db = socketchannel.channel { host = "127.0.0.1", port = PORT, auth = log_in }
	query(db, "CREATE TABLE pairs (name VARCHAR(20) PRIMARY KEY, value TEXT) ENGINE = InnoDB", done)
	return db
end

local function write(db, text)
	query(db, ("REPLACE INTO pairs VALUES ('key', '%s')"):format(text), done)
end

local function read(db)
	return query(db, "SELECT value FROM pairs WHERE name = 'key'", value)
end
