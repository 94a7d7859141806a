//! Cluster maps in the forms that users write, and the errors of wrong ones.

use std::fs;
use std::path::Path;

use skyring::config::{ClusterMap, NODE_NAME_BYTES_MAX, NodeEntry, WhenDown};

fn parse(source: &str) -> Result<ClusterMap, String> {
    ClusterMap::parse(source, "cluster.lua").map_err(|error| error.to_string())
}

fn addresses(map: &ClusterMap) -> Vec<(String, String)> {
    let text = |entry: &NodeEntry| {
        entry
            .address()
            .map_or("false".to_owned(), |address| address.to_string())
    };
    map.nodes
        .iter()
        .map(|(name, entry)| (name.clone(), text(entry)))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, address)| ((*name).to_owned(), (*address).to_owned()))
        .collect()
}

#[test]
fn globals_and_a_returned_table_both_count_and_the_returned_value_wins() {
    let globals = parse("db = \"127.0.0.1:7102\"\ngate_beijing = '10.0.0.1:80'").unwrap();
    assert_eq!(
        addresses(&globals),
        pairs(&[("db", "127.0.0.1:7102"), ("gate_beijing", "10.0.0.1:80")])
    );
    let returned = parse("return { db = \"127.0.0.1:7102\", [\"gate-2\"] = \"[::1]:80\", }").unwrap();
    assert_eq!(
        addresses(&returned),
        pairs(&[("db", "127.0.0.1:7102"), ("gate-2", "[::1]:80")])
    );
    let both = parse("a = 'h:1'; b = 'h:2'\nreturn { b = 'h:3', c = false }").unwrap();
    assert_eq!(
        addresses(&both),
        pairs(&[("a", "h:1"), ("b", "h:3"), ("c", "false")])
    );
}

#[test]
fn the_shapes_users_have_are_read() {
    let source = "
        -- 集群配置：每个节点一个地址，价格 $5
        --[[ 多行
             注释 ]]
        __nowaiting = true

        local host = \"127.0.0.1\" -- 本机
        db = host .. \":2528\"
        for i = 1, 2 do _ENV[string.format(\"scene_%d\", i)] = host .. \":\" .. 3000 + i end
        gate_beijing = \"10.1.2.3:8888\";
        ['网关'] = nil
    "
    .replace(
        "        ['网关'] = nil\n",
        "        _ENV['网关'] = 'localhost:9'\n",
    );
    let map = parse(&source).unwrap();
    assert_eq!(map.nowaiting, Some(true));
    assert_eq!(
        addresses(&map),
        pairs(&[
            ("db", "127.0.0.1:2528"),
            ("gate_beijing", "10.1.2.3:8888"),
            ("scene_1", "127.0.0.1:3001"),
            ("scene_2", "127.0.0.1:3002"),
            ("网关", "localhost:9"),
        ])
    );
    assert!(map.warnings().is_empty());
}

#[test]
fn an_empty_file_is_an_empty_map() {
    for source in ["", "\n", "-- nothing", "return {}", "return", "return nil"] {
        let map = parse(source).unwrap();
        assert!(map.nodes.is_empty() && map.nowaiting.is_none(), "{source:?}");
    }
}

#[test]
fn an_unknown_option_is_kept_and_warned_of() {
    let map = parse("__nowaiting = false __retry = 3 __x = {} db = 'h:1'").unwrap();
    assert_eq!(map.nowaiting, Some(false));
    assert_eq!(map.options.get("retry").map(String::as_str), Some("3"));
    assert_eq!(
        map.warnings(),
        [
            "cluster.lua: __retry: has no effect; the known options are __channels, __groups, __nowaiting, __when_down and __zones",
            "cluster.lua: __x: has no effect; the known options are __channels, __groups, __nowaiting, __when_down and __zones",
        ]
    );
}

#[test]
fn the_number_of_channels_is_one_for_all_nodes_or_one_for_each() {
    let map = parse("__channels = 4 db = 'h:1' gate = 'h:2'").unwrap();
    assert_eq!((map.channels("db"), map.channels("gate")), (Some(4), Some(4)));
    let mut map = parse("return { __channels = { db = 2, bd = 3 }, db = 'h:1', gate = 'h:2' }").unwrap();
    assert_eq!((map.channels("db"), map.channels("gate")), (Some(2), None));
    assert_eq!(
        map.warnings(),
        ["cluster.lua: __channels.bd: has no effect; this map has no such node"]
    );
    map.merge(parse("__channels = 8").unwrap());
    assert_eq!((map.channels("db"), map.channels("gate")), (Some(2), Some(8)));
}

#[test]
fn calls_to_nodes_that_are_down_wait_for_all_nodes_or_for_each() {
    let map = parse("__when_down = 'wait' db = 'h:1'").unwrap();
    assert_eq!(map.when_down("db"), Some(WhenDown::Wait));
    let source = "db = 'h:1' gate = 'h:2' __groups = { all = { 'db' } }
        __when_down = { db = 'wait', all = 'fail', bd = 'wait' }";
    let mut map = parse(source).unwrap();
    let of = |map: &ClusterMap| ["db", "all", "gate"].map(|name| map.when_down(name));
    assert_eq!(of(&map), [Some(WhenDown::Wait), Some(WhenDown::Fail), None]);
    assert_eq!(
        map.warnings(),
        ["cluster.lua: __when_down.bd: has no effect; this map has no such node or group"]
    );
    map.merge(parse("__when_down = 'wait'").unwrap());
    assert_eq!(
        of(&map),
        [Some(WhenDown::Wait), Some(WhenDown::Fail), Some(WhenDown::Wait)]
    );
    for (source, expected) in [
        (
            "__when_down = 'Wait'",
            "__when_down: expected \"fail\", \"wait\", or a table of NODE = one of them, found \"Wait\"",
        ),
        (
            "__when_down = true",
            "__when_down: expected \"fail\", \"wait\", or a table of NODE = one of them, found true",
        ),
        (
            "__when_down = { db = 5 }",
            "__when_down.db: expected \"fail\" or \"wait\", found the number 5",
        ),
    ] {
        let error = parse(source).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_wrong_value_is_an_error_that_names_file_key_and_value() {
    for (source, expected) in [
        (
            "db = 7102",
            "cluster.lua: db: expected \"host:port\" or false, found the number 7102",
        ),
        (
            "db = 0.5",
            "cluster.lua: db: expected \"host:port\" or false, found the number 0.5",
        ),
        (
            "return { db = true }",
            "cluster.lua: db: expected \"host:port\" or false, found true",
        ),
        (
            "db = {}",
            "cluster.lua: db: expected \"host:port\" or false, found a table",
        ),
        (
            "function db() end",
            "cluster.lua: db: expected \"host:port\" or false, found a function",
        ),
        (
            "db = '\\xff:1'",
            "cluster.lua: db: expected \"host:port\" or false, found text that is not UTF-8",
        ),
        (
            "db = '127.0.0.1'",
            "cluster.lua: db: expected \"host:port\", found \"127.0.0.1\"",
        ),
        ("db = ''", "cluster.lua: db: expected \"host:port\", found \"\""),
        (
            "db = '127.0.0.1:70000'",
            "cluster.lua: db: expected \"host:port\" with a port from 1 to 65535, found \"127.0.0.1:70000\"",
        ),
        (
            "db = '::1:7000'",
            "cluster.lua: db: expected \"host:port\", with an IPv6 host in brackets, found \"::1:7000\"",
        ),
        (
            "db = '$HOME:1'",
            "cluster.lua: db: expected \"host:port\" with a host name or an IP address, found \"$HOME:1\"",
        ),
        (
            "__nowaiting = 'yes'",
            "cluster.lua: __nowaiting: expected true or false, found \"yes\"",
        ),
        (
            "__channels = 0",
            "cluster.lua: __channels: expected a whole number from 1 to 1024, or a table of NODE = such a number, \
             found the number 0",
        ),
        (
            "__channels = { db = 'many' }",
            "cluster.lua: __channels.db: expected a whole number from 1 to 1024, or a table of NODE = such a \
             number, found \"many\"",
        ),
        (
            "__channels = 1025",
            "cluster.lua: __channels: expected a whole number from 1 to 1024, or a table of NODE = such a number, \
             found the number 1025",
        ),
        (
            "return { '127.0.0.1:1' }",
            "cluster.lua: expected names as keys, as in NAME = VALUE, found the number 1 as a key",
        ),
        (
            "return 7",
            "cluster.lua: expected a table or nothing to be returned, found the number 7",
        ),
        (
            "return { ['a\\nb'] = 'h:1' }",
            "cluster.lua: expected a node name of 1 to 255 bytes, none a control character, found \"a\\nb\"",
        ),
    ] {
        assert_eq!(parse(source).unwrap_err(), expected, "{source}");
    }
    let long = "n".repeat(NODE_NAME_BYTES_MAX + 1);
    assert!(
        parse(&format!("{long} = 'h:1'"))
            .unwrap_err()
            .contains("a node name of 1 to 255 bytes")
    );
    assert!(parse(&format!("{} = 'h:1'", &long[1..])).is_ok());
}

#[test]
fn a_map_is_built_in_code() {
    let map = ClusterMap::new()
        .with("db", "127.0.0.1:7102")
        .unwrap()
        .disable("gate");
    assert_eq!(
        addresses(&map),
        pairs(&[("db", "127.0.0.1:7102"), ("gate", "false")])
    );
    let error = ClusterMap::new().with("db", "7102").unwrap_err().to_string();
    assert_eq!(error, "cluster map: db: expected \"host:port\", found \"7102\"");
    assert!(ClusterMap::new().with("", "h:1").is_err());
}

#[test]
fn a_merge_keeps_what_the_newer_map_does_not_name() {
    let mut map = parse("__nowaiting = true a = 'h:1' b = 'h:2' c = 'h:3'").unwrap();
    map.merge(parse("b = false c = 'h:4' d = 'h:5'").unwrap());
    assert_eq!(
        addresses(&map),
        pairs(&[("a", "h:1"), ("b", "false"), ("c", "h:4"), ("d", "h:5")])
    );
    assert_eq!(map.nowaiting, Some(true));
    map.merge(parse("__nowaiting = false").unwrap());
    assert_eq!(map.nowaiting, Some(false));
    assert_eq!(map.nodes.len(), 4);
}

#[test]
fn a_map_of_ten_thousand_nodes_is_read() {
    let source: String = (0..10_000)
        .map(|node| format!("scene_{node} = \"10.0.0.1:7102\"\n"))
        .collect();
    assert_eq!(parse(&source).unwrap().nodes.len(), 10_000);
}

#[test]
fn a_map_file_is_read_from_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clustername.lua");
    fs::write(&path, "\u{feff}db = '127.0.0.1:7102'\r\n").unwrap();
    let map = ClusterMap::load(&path).unwrap();
    assert_eq!(addresses(&map), pairs(&[("db", "127.0.0.1:7102")]));
    assert_eq!(map.file.as_deref(), Some(path.as_path()));
    let error = ClusterMap::load(Path::new("no/such/map.lua"))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "no/such/map.lua: no such file");
}
