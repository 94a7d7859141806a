//! A service uses a database whose server is killed and started again: it gets errors with their cause, no request waits for
//! ever, and it goes on without connecting by itself.

use std::path::PathBuf;

use crate::node::{folder, start_in};
use crate::server::{Database, Server};

/// The built checkout of Skynet that the environment names; none is reported.
fn skynet() -> Option<PathBuf> {
    let path = std::env::var_os("SKYRING_TEST_SKYNET").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: SKYRING_TEST_SKYNET does not name a built checkout of Skynet");
    }
    path
}

/// The program. A driver precedes it: the functions `connect()`, `write(db, value)` and `read(db)`.
const PROGRAM: &str = "
skynet.start(function()
    local db = connect()
    write(db, 'before')
    assert(read(db) == 'before')
    -- Requests of many coroutines are under way when the server is killed.
    local under_way, failed, cause = 0, 0, nil
    for _ = 1, 20 do
        under_way = under_way + 1
        skynet.fork(function()
            local ok, problem
            repeat ok, problem = pcall(read, db) until not ok
            under_way, cause = under_way - 1, problem
        end)
    end
    skynet.error 'READY'
    repeat skynet.sleep(1) until under_way == 0
    skynet.error('BROKEN ' .. tostring(cause))
    local ok, problem
    repeat
        skynet.sleep(1)
        ok, problem = pcall(read, db)
    until not ok and tostring(problem):find 'refused'
    skynet.error('REFUSED ' .. tostring(problem))
    repeat
        skynet.sleep(5)
        ok, problem = pcall(read, db)
    until ok
    assert(problem == 'before', problem)
    write(db, 'after')
    assert(read(db) == 'after')
    skynet.error 'ALL DONE'
end)";

/// Runs the program with a driver while the server is killed and started again. In the driver `PORT` is the server's port.
fn survive_a_restart(mut server: Server, driver: &str, config: &str) {
    let driver = driver.replace("PORT", &server.port.to_string());
    let main = format!("local skynet = require 'skynet'\n{driver}\n{PROGRAM}");
    let running = start_in(folder(&[("main.lua", &main)]), config);
    running.await_log("READY");
    server.kill();
    running.await_log("BROKEN [Error: socket] ");
    let log = running.await_log("REFUSED ");
    let port = format!("127.0.0.1:{}: Connection refused", server.port);
    let line = log.lines().find(|line| line.contains("REFUSED "));
    assert!(line.is_some_and(|line| line.contains(&port)), "{log}");
    server.restart();
    running.await_done();
    running.node.stop();
}

/// The lines of a config with which services find Skynet's library and its modules in C.
fn with_skynet(checkout: &std::path::Path) -> String {
    let path = checkout.display();
    format!("lua_path = lua_path .. ';{path}/lualib/?.lua'\nlua_cpath = '{path}/luaclib/?.so'")
}

#[test]
fn requests_to_redis_over_a_channel_survive_its_restart() {
    let Some(server) = Server::start(Database::Redis) else {
        return;
    };
    let driver = "local socketchannel = require 'skynet.socketchannel'
        local function response(socket)
            local line = socket:readline '\\r\\n'
            if line:sub(1, 1) ~= '$' then return line:sub(1, 1) == '+', line end
            return true, socket:read(tonumber(line:sub(2)) + 2):sub(1, -3)
        end
        local function connect() return socketchannel.channel { host = '127.0.0.1', port = PORT } end
        local function write(db, value) db:request('SET key ' .. value .. '\\r\\n', response) end
        local function read(db) return db:request('GET key\\r\\n', response) end";
    survive_a_restart(server, driver, "");
}

#[test]
fn the_driver_of_redis_survives_its_restart() {
    let Some(checkout) = skynet() else { return };
    let Some(server) = Server::start(Database::Redis) else {
        return;
    };
    let driver = "local redis = require 'skynet.db.redis'
        local function connect() return redis.connect { host = '127.0.0.1', port = PORT } end
        local function write(db, value) db:set('key', value) end
        local function read(db) return db:get 'key' end";
    survive_a_restart(server, driver, &with_skynet(&checkout));
}

#[test]
fn the_driver_of_mysql_survives_a_restart_of_mariadb() {
    let Some(checkout) = skynet() else { return };
    let Some(server) = Server::start(Database::MariaDb) else {
        return;
    };
    let driver = "local mysql = require 'skynet.db.mysql'
        local function connect()
            local db = mysql.connect { host = '127.0.0.1', port = PORT, database = 'skyring', user = 'root', password = 'secret' }
            db:query 'CREATE TABLE pairs (name VARCHAR(20) PRIMARY KEY, value TEXT) ENGINE = InnoDB'
            return db
        end
        local function write(db, value)
            local result = db:query(\"REPLACE INTO pairs VALUES ('key', \" .. mysql.quote_sql_str(value) .. ')')
            assert(not result.badresult, result.err)
        end
        local function read(db)
            local result = db:query \"SELECT value FROM pairs WHERE name = 'key'\"
            return assert(result[1], result.err).value
        end";
    survive_a_restart(server, driver, &with_skynet(&checkout));
}

#[test]
fn the_driver_of_mongodb_survives_its_restart() {
    let Some(checkout) = skynet() else { return };
    let Some(server) = Server::start(Database::MongoDb) else {
        return;
    };
    let driver = "local mongo = require 'skynet.db.mongo'
        local function connect() return mongo.client { host = '127.0.0.1', port = PORT }.skyring.pairs end
        local function write(db, value)
            local ok, problem = db:safe_update({ name = 'key' }, { name = 'key', value = value }, true)
            assert(ok, problem)
        end
        local function read(db) return db:findOne({ name = 'key' }).value end";
    survive_a_restart(server, driver, &with_skynet(&checkout));
}
