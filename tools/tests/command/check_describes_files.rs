//! `skyring check` describes valid configs and maps. For invalid ones see
//! `an_invalid_config_is_reported_in_one_line`.

use std::path::{Path, PathBuf};

use crate::common::{Folder, outcome, output, skyring};

/// The root of the repository, to which the paths of the examples are relative.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[track_caller]
fn check(folder: &Path, file: &str) -> String {
    let ended = skyring(["check", file]).current_dir(folder).output();
    let (code, text, error) = outcome(&ended.expect("the command starts"));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    text
}

#[test]
fn the_examples_are_valid() {
    let db = check(&root(), "docs/examples/cluster/config_db");
    let expected = "\
docs/examples/cluster/config_db: a node config
  thread           2 shards
  logger           the standard output
  cluster          docs/examples/cluster/clustername.lua, 2 nodes: db, gate
  open             as db on 127.0.0.1:7102
  services.sdb     simpledb as @sdb
  call_timeout_ms  30000
";
    assert_eq!(db, expected);
    let gate = check(&root(), "docs/examples/cluster/config_gate");
    assert!(
        gate.contains("open             as gate on 127.0.0.1:7101\n"),
        "{gate}"
    );
    assert!(gate.contains("services.echo    echo as @echo\n"), "{gate}");
    let map = check(&root(), "docs/examples/cluster/clustername.lua");
    assert!(
        map.starts_with("docs/examples/cluster/clustername.lua: a cluster map of 2 nodes\n"),
        "{map}"
    );
}

#[test]
fn a_map_is_described_with_a_warning_for_an_option_without_effect() {
    let folder = Folder::new();
    let text = "return { db = '127.0.0.1:7102', ['网关'] = 'gate.example.com:7101', old = false,\n\
                __nowaiting = true, __nowayting = 1, }";
    folder.write("map.lua", text);
    let expected = "\
map.lua: a cluster map of 3 nodes
  db           127.0.0.1:7102
  old          disabled (false)
  网关           gate.example.com:7101
  __nowaiting  calls to nodes that are not named here fail at once
warning: map.lua: __nowayting: has no effect; the known options are __channels, __groups, __nowaiting, __when_down and __zones
";
    assert_eq!(check(&folder.path(""), "map.lua"), expected);
}

#[test]
fn keys_of_skynet_without_effect_are_listed() {
    let folder = Folder::new();
    let config = "thread = 1 harbor = 0 bootstrap = 'snlua bootstrap' lualoader = './lualib/loader.lua' \
                  luaservice = './service/?.lua' cpath = './cservice/?.so' logger = './skynet.log' \
                  start = 'echo' call_timeout_ms = 0 spin_us = 50";
    folder.write("config", config);
    let expected = "\
config: a node config
  thread           1 shard
  logger           ./skynet.log, with local time
  open             not set: the node can call others, and is not called
  start            echo
  call_timeout_ms  0, calls to other nodes have no timeout
  spin_us          50
  not used         cpath (services in C are not run)
";
    assert_eq!(check(&folder.path(""), "config"), expected);
    assert!(!folder.path("skynet.log").exists(), "a check starts nothing");
}

#[test]
fn a_harbor_a_daemon_a_log_service_and_slips_are_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("service")).expect("a folder is made");
    folder.write("service/userlog.lua", "");
    let config = "thread = 1 harbor = 1 standalone = '0.0.0.0:2013' master = '127.0.0.1:2013' logpath = '.' \
                  logservice = 'snlua' logger = 'userlog a' daemon = './node.pid' call_timeout = 1 start = 'echo'";
    folder.write("config", config);
    let expected = "\
config: a node config
  thread           1 shard
  logger           the service snlua userlog a
  logpath          .: the messages of services after LOGON
  harbor           1, which runs alone
  daemon           runs in the background; ./node.pid has the process id
  open             not set: the node can call others, and is not called
  start            echo
  call_timeout_ms  30000
  not used         master (there is no other harbor)
warning: harbor 1 runs alone: global names are names of this node, and nothing listens on 0.0.0.0:2013 for other \
harbors; nodes connect by the cluster map
warning: \"call_timeout\" is no key of a node; is it meant to be call_timeout_ms? It is only kept for getenv
";
    assert_eq!(check(&folder.path(""), "config"), expected);
    assert!(!folder.path("node.pid").exists(), "a check starts nothing");
}

#[test]
fn control_characters_of_a_file_are_not_printed() {
    let folder = Folder::new();
    folder.write("config", "thread = 1 start = 'echo \\27[2J\\n x'");
    let text = check(&folder.path(""), "config");
    assert!(text.contains("echo \\u{1b}[2J\\n x"), "{text}");
    assert!(!text.contains('\x1b'));
    folder.write("config", "thread = 1 services = { a = 'echo \\27[2J\\n x' }");
    let (code, _, error) = outcome(&output(["check", &folder.path("config").display().to_string()]));
    assert_eq!(code, Some(2));
    assert!(error.contains("\\u{1b}[2J") && !error.contains('\x1b'), "{error}");
}
