//! Configs and services in the styles of Skynet's users run unchanged, by `skyring CONFIG` in the folder to which their
//! paths are relative.

use std::fs;
use std::path::Path;

use crate::common::{Folder, Running, assert_refused, free_port, outcome, output, skyring, wait_until};

/// A store of values, as in Skynet's examples.
const STORE: &str = "
local skynet = require \"skynet\"
local values, command = {}, {}
function command.SET(key, value) local last = values[key] values[key] = value return last end
function command.GET(key) return values[key] end
skynet.start(function()
    skynet.dispatch(\"lua\", function(_, _, name, ...)
        local f = command[name] or error(\"unknown command \" .. name)
        skynet.ret(skynet.pack(f(...)))
    end)
end)";

/// The first service of the node that keeps the store.
const DB: &str = "
local skynet = require \"skynet\"
local cluster = require \"skynet.cluster\"
require \"skynet.manager\"
skynet.start(function()
    cluster.register(\"sdb\", skynet.newservice(\"store\", \"a\", \"b\"))
    cluster.open \"db_north\"
    skynet.error \"Database node ready\"
end)";

/// The first service of the node that calls.
const GATE: &str = "
local skynet = require \"skynet\"
local cluster = require \"skynet.cluster\"
skynet.start(function()
    cluster.call(\"db_north\", \"@sdb\", \"SET\", \"钥匙\", \"值\")
    skynet.error(cluster.call(\"db_north\", \"@sdb\", \"GET\", \"钥匙\"), skynet.getenv \"answer\", skynet.getenv \"flag\")
    skynet.error(select(2, pcall(cluster.call, \"db_north\", \"@sdb\", \"DROP\")))
    cluster.open \"gate_beijing\"
end)";

/// Starts `skyring CONFIG` in a folder, and waits for a text in its log.
fn node(folder: &Folder, config: &str, ready: &str) -> Running {
    let mut command = skyring([Path::new(config)]);
    Running::ready(command.current_dir(folder.path("")), ready)
}

fn write_services(folder: &Folder) {
    fs::create_dir_all(folder.path("game/service")).expect("folders are made");
    folder.write("game/service/store.lua", STORE);
    folder.write("game/service/db.lua", DB);
    folder.write("game/service/gate.lua", GATE);
}

#[test]
fn globals_comments_in_any_language_paths_with_points_and_logger_nil() {
    let folder = Folder::new();
    write_services(&folder);
    let (db, gate) = (free_port(), free_port());
    folder.write(
        "clustername.lua",
        format!(
            "-- 集群节点表\n__nowaiting = true -- 不等待\ndb_north = \"127.0.0.1:{db}\"\n\
             gate_beijing = \"127.0.0.1:{gate}\" -- 北京网关\nold = false\n"
        ),
    );
    for (name, start) in [("config_db", "db"), ("config_gate", "gate")] {
        folder.write(
            name,
            format!(
                "-- 数据库节点 · Datenbankknoten\nthread = 2\nlogger = nil\nharbor = 0\n\
                 root = \"./game/\"\nstart = \"{start}\"\nbootstrap = \"snlua bootstrap\"\n\
                 luaservice = root .. \"service/?.lua;./missing/?.lua\"\nlualoader = \"./lualib/loader.lua\"\n\
                 lua_path = \"./lualib/?.lua;\" .. root .. \"?.lua\"\nlua_cpath = \"./luaclib/?.so\"\n\
                 cpath = \"./cservice/?.so\"\ncluster = \"./clustername.lua\"\nanswer = 42\nflag = true\n"
            ),
        );
    }
    let _db = node(&folder, "./config_db", "Database node ready");
    let gate = node(&folder, "./config_gate", "Listen on ");
    let log = gate.written();
    assert!(log.contains("] 值 42 true\n"), "{log}");
    assert!(log.contains("unknown command DROP"), "{log}");
    assert!(log.starts_with("[:00000002] LAUNCH snlua bootstrap\n"), "{log}");
}

#[test]
fn tables_that_are_returned_and_includes() {
    let folder = Folder::new();
    write_services(&folder);
    let (db, gate) = (free_port(), free_port());
    folder.write(
        "map.lua",
        format!("return {{ db_north = '127.0.0.1:{db}', gate_beijing = '127.0.0.1:{gate}', }}"),
    );
    folder.write(
        "common",
        "thread = 1 luaservice = './game/service/?.lua' cluster = './map.lua' flag = false",
    );
    folder.write("config_db", "include 'common'\nreturn { start = 'db' }");
    folder.write("config_gate", "include 'common'\nstart = 'gate' answer = 'text'");
    let _db = node(&folder, "./config_db", "Database node ready");
    let gate = node(&folder, "./config_gate", "Listen on ");
    assert!(gate.written().contains("] 值 text false\n"), "{}", gate.written());
}

#[test]
fn arguments_behind_the_config_have_no_effect_and_are_told() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("service")).expect("folders are made");
    folder.write("service/main.lua", "require 'skynet'.start(function() end)");
    folder.write("config", "thread = 1 start = 'main'");
    let errors = fs::File::create(folder.path("errors")).expect("the file is made");
    let mut command = skyring(["./config", "load_mods.lua", "1"]);
    command.current_dir(folder.path("")).stderr(errors);
    let _running = Running::ready(&mut command, "LAUNCH snlua main");
    let errors = fs::read_to_string(folder.path("errors")).expect("it was written");
    let warning = "warning: load_mods.lua and what follows it have no effect: ";
    assert!(errors.starts_with(warning), "{errors}");
    // A mistyped option is no such argument.
    let (code, _, errors) = outcome(&output(["run", "./config", "--runtme"]));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("unexpected argument '--runtme'"), "{errors}");
}

#[test]
fn a_broken_first_service_is_logged_and_skynet_abort_ends_the_node() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("service")).expect("folders are made");
    folder.write("service/broken.lua", "local x = = 1");
    folder.write("service/ends.lua", "require 'skynet.manager'.abort()");
    folder.write("config_broken", "thread = 1 start = 'broken'");
    folder.write("config_ends", "thread = 1 start = 'ends'");
    let broken = node(&folder, "./config_broken", "the first service did not start");
    assert!(
        broken
            .written()
            .contains("./service/broken.lua:1: unexpected symbol"),
        "{}",
        broken.written()
    );
    let mut ends = node(&folder, "./config_ends", "LAUNCH snlua ends");
    assert!(ends.wait_for_end().success());
}

#[test]
fn a_harbor_that_runs_alone_starts_with_our_library_and_with_the_users() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("service")).expect("folders are made");
    folder.write(
        "service/main.lua",
        "local skynet = require 'skynet.manager'
         local harbor = require 'skynet.harbor'
         skynet.start(function()
             skynet.register 'LOG'
             skynet.name('.x', skynet.self())
             skynet.fork(function() skynet.error('late is', harbor.queryname 'LATE') end)
             harbor.globalname 'LATE'
             local own = skynet.self()
             assert(harbor.queryname 'LOG' == own and harbor.queryname '.x' == own)
             assert(skynet.harbor(own) == 3)
             harbor.link(2)
             skynet.error(pcall(harbor.connect, 2))
             skynet.error 'all right'
         end)",
    );
    folder.write(
        "config",
        "thread = 1 harbor = 3 standalone = '0.0.0.0:2013' start = 'main'",
    );
    let mut node = node(&folder, "./config", "all right");
    node.wait_for("late is 8");
    let log = node.written();
    assert!(log.starts_with("[:00000000] harbor 3 runs alone: "), "{log}");
    assert!(log.contains("false harbor 2 does not exist"), "{log}");
}

#[test]
fn files_in_another_encoding_run_and_names_that_are_no_text_are_told() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("service")).expect("folders are made");
    // GBK, with a mark, a first line for the shell, and lines that end as on other systems.
    let mut main = b"\xef\xbb\xbf#!/usr/bin/lua\r\n".to_vec();
    main.extend(
        b"-- \xd6\xd0\xce\xc4\xd7\xa2\xca\xcd\r\n\
          local skynet = require 'skynet.manager'\r\nlocal cluster = require 'skynet.cluster'\r\n\
          skynet.start(function()\r\n\
          skynet.error('\xc4\xe3\xba\xc3', skynet.getenv 'title')\r\n\
          skynet.error(select(2, pcall(skynet.name, '.\xc4\xe3', skynet.self())))\r\n\
          skynet.error(select(2, pcall(skynet.call, '.\xc4\xe3', 'lua')))\r\n\
          skynet.error(select(2, pcall(cluster.call, '\xc4\xe3', '.x')))\r\n\
          skynet.call(skynet.newservice('other', '\xba\xc3'), 'lua')\r\nerror '\xb4\xed\xce\xf3'\r\nend)\r\n",
    );
    folder.write("service/main.lua", main);
    folder.write(
        "service/other.lua",
        b"local skynet = require 'skynet'\nlocal argument = ...\nskynet.start(function()\n\
          skynet.dispatch('lua', function() skynet.error('argument', argument) skynet.ret() end) end)",
    );
    folder.write(
        "config",
        b"#!/usr/bin/env skyring\r\n-- \xc5\xe4\xd6\xc3\r\nthread = 1\r\nstart = 'main'\r\n\
          title = '\xb1\xea\xcc\xe2'\r\nlogger = './node.log'\r\nlog_time = 'none'\r\ncluster = './map.lua'\r\n",
    );
    folder.write(
        "map.lua",
        b"\xef\xbb\xbf-- \xbd\xda\xb5\xe3\r\ndb = '127.0.0.1:7102'\r\n",
    );
    let _node = Running::start(skyring([Path::new("./config")]).current_dir(folder.path("")));
    let log = || fs::read(folder.path("node.log")).unwrap_or_default();
    let has = |part: &[u8]| log().windows(part.len()).any(|window| window == part);
    wait_until("the line is written as it is", || has(b"] argument \xba\xc3\n"));
    assert!(has(b"] \xc4\xe3\xba\xc3 \xb1\xea\xcc\xe2\n"));
    wait_until("an error is written as it is", || {
        has(b"/service/main.lua:11: \xb4\xed\xce\xf3\n")
    });
    let no_text = b"is UTF-8 text, which this is not";
    let told = log()
        .windows(no_text.len())
        .filter(|window| window == no_text)
        .count();
    assert_eq!(told, 3, "{}", String::from_utf8_lossy(&log()));

    folder.write("map.lua", b"return { ['\xc4\xe3'] = '127.0.0.1:7102' }");
    assert_refused(
        "check",
        &folder.path("map.lua"),
        &["expected names as keys, as in NAME = VALUE, found text that is not UTF-8 as a key"],
    );
}
