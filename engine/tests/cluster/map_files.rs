//! `reload` without a table reads the map file again; a broken file is an error and changes nothing.

use std::fs;

use skyring::config::NodeConfig;
use skyring::{Node, NodeBuilder};

use crate::cluster::{Echo, open, serve, who};
use crate::node::run;
use crate::start::start;
use crate::support::ask;

#[test]
fn the_map_file_is_read_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let map_file = folder.path().join("map.lua");
    let config_file = folder.path().join("config");
    let db = start(1);
    serve(&db, "echo", |_| Echo("db"));
    let address = open(&db);
    fs::write(&map_file, "other = '127.0.0.1:1'").expect("a file");
    fs::write(
        &config_file,
        "thread = 2 logger = '/dev/null' cluster = 'map.lua'",
    )
    .expect("a file");
    let (config, map) = NodeConfig::load_with_map(&config_file).expect("a valid config");
    let gate = NodeBuilder::from_config(config, map)
        .start()
        .expect("a node starts");
    let reload = |gate: &Node| run(gate, |caller| async move { caller.cluster().reload_file().await });

    fs::write(&map_file, format!("db = '{address}'")).expect("a file");
    assert_eq!(reload(&gate), Ok(()));
    run(&gate, |caller| async move {
        assert_eq!(who(&caller, "db").await, Ok("db".to_owned()));
        assert!(
            caller.cluster().map().nodes.contains_key("other"),
            "entries not named stay"
        );
    });

    let broken = [
        ("db = false other = ", "map.lua"),
        ("db = 7 other = false", "db"),
        ("db = false other = 'nowhere'", "other"),
        ("error('db = false')", "map.lua"),
    ];
    for (text, named) in broken {
        fs::write(&map_file, text).expect("a file");
        let error = reload(&gate).unwrap_err();
        assert_eq!(error.code(), "invalid", "{text}: {error}");
        assert!(error.to_string().contains(named), "{text}: {error}");
        assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
    }
    fs::remove_file(&map_file).expect("it was there");
    let error = reload(&gate).unwrap_err();
    assert!(error.to_string().contains("map.lua"), "{error}");

    fs::write(&map_file, "return { db = false }").expect("a file");
    assert_eq!(reload(&gate), Ok(()));
    let error = ask(&gate, "db").unwrap_err();
    assert_eq!(error.code(), "disabled");
}

#[test]
fn a_node_without_a_map_file_has_none_to_read_again() {
    let node = start(1);
    let error = run(
        &node,
        |caller| async move { caller.cluster().reload_file().await },
    )
    .unwrap_err();
    assert_eq!(error.code(), "invalid");
    assert!(error.to_string().contains("names no cluster map"), "{error}");
}
