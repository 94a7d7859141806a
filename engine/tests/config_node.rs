//! Node configs: every key, its default, and the errors of wrong ones.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use skyring::config::{
    CALL_TIMEOUT_MS_DEFAULT, Checked, LogTime, NodeConfig, NodeEntry, SPIN_US_MAX, THREADS_MAX, check,
};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        fs::create_dir_all(folder.path().join(name).parent().expect("a file in a folder")).expect("a folder");
        fs::write(folder.path().join(name), text).expect("a file is written");
    }
    folder
}

/// Loads `config` from a folder in which it stands beside a map. An error has the folder's path left out.
fn load(config: &str) -> Result<NodeConfig, String> {
    let map = "db = '127.0.0.1:7102' gate_beijing = '127.0.0.1:7101' old = false";
    let folder = folder(&[("config_db", config), ("clustername.lua", map)]);
    let prefix = format!("{}/", folder.path().display());
    NodeConfig::load(&folder.path().join("config_db")).map_err(|error| error.to_string().replace(&prefix, ""))
}

#[test]
fn a_config_as_users_write_it_is_read() {
    let config = load(
        "
        -- 数据库节点
        thread = 4
        logger = nil            -- 标准输出
        logpath = \".\"
        harbor = 0
        start = \"main_db 7102\"
        bootstrap = \"snlua bootstrap\"
        local root = \"./\"
        luaservice = root..\"service/?.lua;\"..root..\"examples/?.lua\"
        lualoader = root..\"lualib/loader.lua\"
        lua_path = root..\"lualib/?.lua\"
        lua_cpath = root..\"luaclib/?.so\"
        cpath = root..\"cservice/?.so\"
        preload = \"./preload.lua\"
        profile = false
        cluster = \"./clustername.lua\"
        open = \"db\"
        services = { sdb = \"simpledb\", log = \" monitor  7102  verbose \", }
        call_timeout_ms = 5000
        spin_us = 50
        down_after_ms = 700
        stop_timeout_ms = 0
        clients_per_source_max = 20
        accepts_per_second_max = \"30\"
        daemon = nil
        mongo_port = 27017
        ratio = 0.5
        debug_enabled = true
        ",
    )
    .unwrap();
    assert_eq!(config.threads, 4);
    assert_eq!(config.logger, None);
    assert_eq!(config.logpath.as_deref(), Some(Path::new(".")));
    assert_eq!(config.start.as_deref(), Some("main_db 7102"));
    assert_eq!(config.bootstrap, "snlua bootstrap");
    assert_eq!(
        config.luaservice.as_deref(),
        Some(OsStr::new("./service/?.lua;./examples/?.lua"))
    );
    assert_eq!(
        config.lualoader.as_deref(),
        Some(OsStr::new("./lualib/loader.lua"))
    );
    assert_eq!(config.lua_path.as_deref(), Some(OsStr::new("./lualib/?.lua")));
    assert_eq!(config.lua_cpath.as_deref(), Some(OsStr::new("./luaclib/?.so")));
    assert_eq!(config.cpath.as_deref(), Some(OsStr::new("./cservice/?.so")));
    assert_eq!(config.preload.as_deref(), Some(OsStr::new("./preload.lua")));
    assert!(!config.profile);
    assert_eq!(config.open.as_deref(), Some("db"));
    let services: Vec<_> = config
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), service.kind.as_str(), service.arguments.as_str()))
        .collect();
    assert_eq!(
        services,
        [("log", "monitor", "7102  verbose"), ("sdb", "simpledb", "")]
    );
    assert_eq!((config.call_timeout_ms, config.spin_us), (5000, 50));
    assert_eq!((config.down_after_ms, config.stop_timeout_ms), (700, 0));
    assert_eq!(
        (config.clients_per_source_max, config.accepts_per_second_max),
        (20, 30)
    );
    for (key, text) in [
        ("thread", "4"),
        ("harbor", "0"),
        ("mongo_port", "27017"),
        ("ratio", "0.5"),
        ("debug_enabled", "true"),
        ("profile", "false"),
        ("cluster", "./clustername.lua"),
    ] {
        assert_eq!(config.environment_text(key), Some(text), "{key}");
    }
    for absent in ["logger", "root", "services", "include", "string"] {
        assert!(!config.environment.contains_key(absent), "{absent}");
    }
}

#[test]
fn an_empty_config_has_every_default() {
    let config = load("").unwrap();
    assert!((1..=THREADS_MAX).contains(&config.threads));
    assert_eq!(config.bootstrap, "snlua bootstrap");
    assert!(config.profile);
    assert_eq!(
        (config.call_timeout_ms, config.spin_us),
        (CALL_TIMEOUT_MS_DEFAULT, 0)
    );
    assert!(config.start.is_none() && config.cluster.is_none() && config.open.is_none());
    assert!(config.services.is_empty());
    let environment: Vec<_> = config
        .environment
        .iter()
        .map(|(key, text)| format!("{key}={}", String::from_utf8_lossy(text)))
        .collect();
    let threads = format!("thread={}", config.threads);
    assert_eq!(
        environment,
        [
            "bootstrap=snlua bootstrap",
            "harbor=0",
            "profile=true",
            threads.as_str()
        ]
    );
}

#[test]
fn numbers_and_booleans_may_stand_as_text() {
    let config =
        load("thread = '3' profile = 'false' call_timeout_ms = 0 spin_us = 10.0 harbor = '0'").unwrap();
    assert_eq!((config.threads, config.profile), (3, false));
    assert_eq!((config.call_timeout_ms, config.spin_us), (0, 10));
    // An environment variable that is set to nothing gives an empty text.
    assert_eq!(load("logger = ''").unwrap().logger, None);
    assert_eq!(
        load("logger = 'node.log'").unwrap().logger,
        Some(PathBuf::from("node.log"))
    );
}

#[test]
fn a_wrong_value_is_an_error_that_names_file_key_and_value() {
    let thread = "config_db: thread: expected a whole number from 1 to 1024, found";
    for (config, expected) in [
        ("thread = 0", format!("{thread} the number 0")),
        ("thread = 1025", format!("{thread} the number 1025")),
        ("thread = 2.5", format!("{thread} the number 2.5")),
        ("thread = 1e300", format!("{thread} the number 1e+300")),
        ("thread = 'many'", format!("{thread} \"many\"")),
        ("thread = {}", format!("{thread} a table")),
        (
            "harbor = 256",
            "config_db: harbor: expected a whole number from 0 to 255, found the number 256".into(),
        ),
        (
            "harbor = 2 address = '127.0.0.1:2527' master = '127.0.0.1:2013'",
            "config_db: harbor: without standalone it needs other harbors, which do not exist here; connect the nodes \
             by the cluster map instead: harbor = 0, cluster = \"FILE\", open = \"NAME\""
                .into(),
        ),
        (
            "harbor = 0 standalone = '0.0.0.0:2013'",
            "config_db: standalone: needs a harbor; set harbor = 1, or remove this key (with harbor = 0 Skynet does not \
             start either)"
                .into(),
        ),
        (
            "logservice = 'snlua'",
            "config_db: logservice: \"snlua\" needs logger = \"NAME\", the service in Lua that takes the lines".into(),
        ),
        (
            "log_time = 'local'",
            "config_db: log_time: not known; it is \"none\", \"skynet\" or \"utc\"".into(),
        ),
        (
            "log_time = 'utc' logservice = 'snlua' logger = 'userlog'",
            "config_db: log_time: has no effect with a log service, which writes the lines itself; remove one of the \
             two keys"
                .into(),
        ),
        ("start = '\\xc4\\xe3'", "config_db: start: expected text, found text that is not UTF-8".into()),
        (
            "services = { ['\\xc4\\xe3'] = 'echo' }",
            "config_db: services: expected { NAME = \"KIND ARGUMENTS\" }, found a table with a name that is not UTF-8 \
             text"
                .into(),
        ),
        ("start = 7", "config_db: start: expected text, found the number 7".into()),
        ("start = true", "config_db: start: expected text, found true".into()),
        ("profile = 1", "config_db: profile: expected true or false, found the number 1".into()),
        ("profile = 'on'", "config_db: profile: expected true or false, found \"on\"".into()),
        (
            "call_timeout_ms = -1",
            "config_db: call_timeout_ms: expected milliseconds, 0 for no deadline, found the number -1".into(),
        ),
        ("daemon = true", "config_db: daemon: expected text, found true".into()),
        (
            "services = 'simpledb'",
            "config_db: services: expected { NAME = \"KIND ARGUMENTS\" }, found \"simpledb\"".into(),
        ),
        (
            "services = { 'simpledb' }",
            "config_db: services: expected { NAME = \"KIND ARGUMENTS\" }, found a table whose keys are not \
             names"
                .into(),
        ),
        (
            "services = { sdb = 1 }",
            "config_db: services.sdb: expected \"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \"always\" }, found the number 1".into(),
        ),
        (
            "services = { sdb = ' ' }",
            "config_db: services.sdb: expected \"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \"always\" }, found \" \"".into(),
        ),
        (
            "services = { sdb = 'keyed' }",
            "config_db: services.sdb: expected \"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \"always\" }, found \"keyed\"".into(),
        ),
        (
            "services = { ['@sdb'] = 'simpledb' }",
            "config_db: services: expected a service name of 1 to 255 bytes that does not begin with @, . or \
             :, found \"@sdb\""
                .into(),
        ),
        ("thread = 1 custom = {}", "config_db: custom: expected text, a number, true or false, found a table".into()),
        (
            "thread = 1 function custom() end",
            "config_db: custom: expected text, a number, true or false, found a function".into(),
        ),
    ] {
        assert_eq!(load(config).unwrap_err(), expected, "{config}");
    }
    assert!(load("down_after_ms = 3600000").is_ok());
    for wrong in [
        "down_after_ms = 3600001",
        "down_after_ms = -1",
        "stop_timeout_ms = -1",
        "clients_per_source_max = 0",
        "accepts_per_second_max = 0",
        "accepts_per_second_max = 1000001",
    ] {
        assert!(load(wrong).is_err(), "{wrong}");
    }
    assert!(load(&format!("spin_us = {}", SPIN_US_MAX)).is_ok());
    assert!(load(&format!("spin_us = {}", SPIN_US_MAX + 1)).is_err());
    assert_eq!(
        load(&format!("thread = {THREADS_MAX}")).unwrap().threads,
        THREADS_MAX
    );
}

#[test]
fn open_must_name_a_node_with_an_address() {
    for (open, expected) in [
        (
            "dbb",
            "config_db: open: \"dbb\" is not in the cluster map clustername.lua, which knows db, gate_beijing, old",
        ),
        (
            "old",
            "config_db: open: \"old\" is disabled (false) in the cluster map clustername.lua; give it an address",
        ),
    ] {
        let error = load(&format!("cluster = 'clustername.lua' open = '{open}'")).unwrap_err();
        assert_eq!(error, expected);
    }
    let error = load("open = 'db'").unwrap_err();
    assert_eq!(
        error,
        "config_db: open: needs a cluster map; add cluster = \"FILE\""
    );
    assert!(load("cluster = 'clustername.lua' open = 'gate_beijing'").is_ok());
}

#[test]
fn the_map_is_found_beside_the_config_if_not_in_the_working_directory() {
    let folder = folder(&[
        ("here/config", "cluster = './map.lua' open = 'db'"),
        ("here/map.lua", "db = 'h:1'"),
        ("lost", "cluster = 'absent.lua'"),
        ("wrong", "cluster = 'here/broken.lua'"),
        ("here/broken.lua", "db = 1"),
        (
            "absolute",
            &format!("cluster = '{}/absent.lua'", env!("CARGO_MANIFEST_DIR")),
        ),
    ]);
    let config = NodeConfig::load(&folder.path().join("here/config")).unwrap();
    let found = config.cluster.unwrap();
    assert_eq!(
        fs::canonicalize(found).unwrap(),
        fs::canonicalize(folder.path().join("here/map.lua")).unwrap()
    );

    let error = NodeConfig::load(&folder.path().join("lost"))
        .unwrap_err()
        .to_string();
    let place = folder.path().display();
    assert_eq!(
        error,
        format!(
            "{place}/lost: cluster: no such file: \"absent.lua\"; looked in the working directory and in {place}"
        )
    );
    let error = NodeConfig::load(&folder.path().join("wrong"))
        .unwrap_err()
        .to_string();
    let cause = "db: expected \"host:port\" or false, found the number 1";
    assert_eq!(error, format!("{place}/here/broken.lua: {cause}"));
    assert!(NodeConfig::load(&folder.path().join("absolute")).is_err());

    // Tests run in the directory of the crate, which has a Cargo.toml: that one is preferred, and is no map.
    let folder = self::folder(&[("config", "cluster = 'Cargo.toml'"), ("Cargo.toml", "db = 'h:1'")]);
    let error = NodeConfig::load(&folder.path().join("config")).unwrap_err();
    assert_eq!(error.file, Path::new("Cargo.toml"));
}

#[test]
fn a_map_given_as_a_config_is_an_error_that_says_so() {
    let expected =
        "config_db: this is a cluster map, not a node config; name it in a config as cluster = \"FILE\"";
    assert_eq!(load("db = '127.0.0.1:7102'").unwrap_err(), expected);
    assert_eq!(
        load("return { db = '127.0.0.1:7102', __nowaiting = true }").unwrap_err(),
        expected
    );
}

#[test]
fn check_tells_configs_and_maps_apart() {
    let folder = folder(&[
        ("config", "thread = 2 cluster = 'map.lua' open = 'start'"),
        ("substituted", "thread = $SKYRING_NEVER_SET"),
        ("map.lua", "start = '127.0.0.1:1' db = false __retry = 1"),
        ("empty", ""),
        ("wrong_map", "db = 7102"),
        ("wrong_config", "start = 'main' thread = -1"),
        ("broken", "db = "),
    ]);
    let checked = |name: &str| check(&folder.path().join(name)).map_err(|error| error.to_string());
    match checked("config").unwrap() {
        Checked::Node(config, Some(map)) => {
            assert_eq!(config.threads, 2);
            assert_eq!(map.nodes.get("db"), Some(&NodeEntry::Disabled));
        }
        other => panic!("{other:?}"),
    }
    match checked("map.lua").unwrap() {
        Checked::Map(map, warnings) => assert_eq!((map.nodes.len(), warnings.len()), (2, 1)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(checked("empty").unwrap(), Checked::Map(map, _) if map.nodes.is_empty()));
    assert!(
        checked("wrong_map")
            .unwrap_err()
            .contains("db: expected \"host:port\" or false")
    );
    assert!(
        checked("wrong_config")
            .unwrap_err()
            .contains("thread: expected a whole number")
    );
    assert!(
        checked("broken")
            .unwrap_err()
            .contains("broken:1: syntax error: ")
    );
    assert!(
        checked("substituted")
            .unwrap_err()
            .contains("variable $SKYRING_NEVER_SET is not set")
    );
    assert!(checked("absent").unwrap_err().ends_with("absent: no such file"));
}

#[test]
fn a_harbor_with_standalone_runs_alone_and_says_so() {
    for (keys, harbor) in [
        (
            "harbor = 1 standalone = '0.0.0.0:2013' master = '127.0.0.1:2013' address = '127.0.0.1:2526'",
            1,
        ),
        ("harbor = 7 standalone = '0.0.0.0:2013'", 7),
        ("thread = 1 standalone = '0.0.0.0:2013'", 1),
    ] {
        let config = load(keys).unwrap();
        assert_eq!(config.harbor, harbor, "{keys}");
        assert_eq!(
            config.environment_text("harbor"),
            Some(harbor.to_string().as_str())
        );
        assert_eq!(config.environment_text("standalone"), Some("0.0.0.0:2013"));
        let expected = format!(
            "harbor {harbor} runs alone: global names are names of this node, and nothing listens on 0.0.0.0:2013 for \
             other harbors; nodes connect by the cluster map"
        );
        assert_eq!(config.notices, [expected]);
    }
    let config = load("harbor = 0 standalone = false address = '127.0.0.1:2526'").unwrap();
    assert_eq!((config.harbor, config.notices.len()), (0, 1));
    assert_eq!(config.notices[0], "address has no effect without a harbor");
}

#[test]
fn a_key_that_looks_like_a_misspelt_one_is_told_and_kept() {
    let config = load("stop_timout_ms = 'x' call_timeout = 5 mongo_port = 27017 thread = 1").unwrap();
    assert_eq!(
        config.notices,
        [
            "\"call_timeout\" is no key of a node; is it meant to be call_timeout_ms? It is only kept for getenv",
            "\"stop_timout_ms\" is no key of a node; is it meant to be stop_timeout_ms? It is only kept for getenv",
        ]
    );
    assert_eq!(config.environment_text("call_timeout"), Some("5"));
    // Skynet's own keys are known, also those that only its library reads.
    let skynet = "thread = 1 cpath = 'x' harbor = 0 bootstrap = 'snlua bootstrap' daemon = false logger = 'x' \
                  logservice = 'logger' profile = true lualoader = 'x' luaservice = 'x' lua_path = 'x' lua_cpath = 'x' \
                  preload = 'x' logpath = '.' enablessl = false start = 'main' snax = 'x' snax_interface_g = 'x' \
                  snax_loader = 'x' certfile = 'x' keyfile = 'x' standalone = false";
    assert_eq!(load(skynet).unwrap().notices, Vec::<String>::new());
}

#[test]
fn a_config_may_be_in_any_encoding_with_a_mark_and_a_first_line_for_the_shell() {
    // A comment and a value in GBK.
    let text = b"\xef\xbb\xbf#!/usr/bin/env skyring\r\n-- \xd6\xd0\xce\xc4\r\nthread = 1\r\n\
                 title = '\xc4\xe3\xba\xc3'\r\nlogger = '\xc4\xe3.log'\r\nluaservice = './\xc4\xe3/?.lua'\r\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, text).unwrap();
    let config = NodeConfig::load(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        config.environment.get("title").map(Vec::as_slice),
        Some(&b"\xc4\xe3\xba\xc3"[..])
    );
    assert_eq!(config.environment_text("title"), None);
    let logger = config.logger.unwrap_or_default();
    assert_eq!(logger.as_os_str().as_encoded_bytes(), b"\xc4\xe3.log");
    assert_eq!(
        config.luaservice.unwrap_or_default().as_encoded_bytes(),
        b"./\xc4\xe3/?.lua"
    );
    // Lines keep their numbers.
    std::fs::write(&file, b"#!/bin/sh\n-- \xd6\xd0\nx = = 1\n").unwrap();
    let error = NodeConfig::load(&file).unwrap_err();
    assert_eq!(error.line, Some(3), "{error}");
}

#[test]
fn the_log_is_a_file_with_times_the_standard_output_or_a_service() {
    let log = |keys: &str| {
        let config = load(keys).unwrap();
        let service = config
            .log_service
            .map(|service| format!("{} {}", service.kind, service.arguments));
        (config.logger, config.log_time, service)
    };
    let file = Some(PathBuf::from("node.log"));
    assert_eq!(log(""), (None, LogTime::None, None));
    assert_eq!(
        log("logservice = 'logger' logger = 'node.log'"),
        (file.clone(), LogTime::Skynet, None)
    );
    assert_eq!(
        log("logger = 'node.log' log_time = 'none'"),
        (file.clone(), LogTime::None, None)
    );
    assert_eq!(
        log("logger = 'node.log' log_time = 'utc'"),
        (file, LogTime::Utc, None)
    );
    assert_eq!(log("log_time = 'skynet'"), (None, LogTime::Skynet, None));
    let service = Some("snlua userlog a b".to_owned());
    assert_eq!(
        log("logservice = 'snlua' logger = 'userlog a b'"),
        (None, LogTime::None, service)
    );
}
