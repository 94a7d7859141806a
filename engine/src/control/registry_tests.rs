//! What etcd may say, in every order, and what follows.

use super::entry::{Entry, NodeValue};
use super::registry::{DISCOVERED_NODES_MAX, Event, KeyValue, Registry, Update};
use crate::config::NodeEntry;

const LEASE_MS: u64 = 5_000;
const GRACE_MS: u64 = 60_000;

fn registry() -> Registry {
    Registry::new("etcd", "/game/", Some("own"), LEASE_MS, GRACE_MS)
}

fn key(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: format!("/game/{name}").into_bytes(),
        value: value.as_bytes().to_vec(),
        mod_revision: 7,
    }
}

fn node(name: &str, port: u16) -> KeyValue {
    key(name, &format!(r#"{{"address":"10.0.0.1:{port}"}}"#))
}

fn gone(name: &str) -> Event {
    Event::Deleted(format!("/game/{name}").into_bytes())
}

fn put(name: &str, port: u16) -> Event {
    Event::Put(node(name, port))
}

/// The nodes that are merged, as `name:port` and `name:off`.
fn merged(update: &Update) -> Vec<String> {
    let nodes = update.discovered.map.nodes.iter();
    nodes
        .map(|(name, entry)| match entry {
            NodeEntry::Address(address) => format!("{name}:{}", address.port()),
            NodeEntry::Disabled => format!("{name}:off"),
        })
        .collect()
}

fn left(update: &Update) -> Vec<&str> {
    update.discovered.left.iter().map(|(name, _)| &**name).collect()
}

fn forgotten(update: &Update) -> Vec<&str> {
    update.discovered.forgotten.iter().map(|name| &**name).collect()
}

fn is_nothing(update: &Update) -> bool {
    !update.changes_map() && update.notes.is_empty()
}

#[test]
fn joins_changes_and_leaves_are_told_once() {
    let mut registry = registry();
    assert_eq!(
        merged(&registry.read(0, vec![node("a", 1), node("b", 2)])),
        ["a:1", "b:2"]
    );
    assert!(is_nothing(&registry.read(1, vec![node("a", 1), node("b", 2)])));
    assert!(is_nothing(&registry.apply(2, vec![put("a", 1)])));
    assert_eq!(
        merged(&registry.apply(3, vec![put("a", 3), put("c", 4)])),
        ["a:3", "c:4"]
    );
    let update = registry.apply(10, vec![gone("a")]);
    assert_eq!(
        (left(&update), merged(&update)),
        (vec!["a"], Vec::<String>::new())
    );
    assert!(is_nothing(&registry.apply(11, vec![gone("a"), gone("nobody")])));
    assert_eq!(
        merged(&registry.apply(12, vec![Event::Put(key("b", "false"))])),
        ["b:off"]
    );
}

#[test]
fn a_node_that_has_left_is_forgotten_after_the_grace_time() {
    let mut registry = registry();
    registry.read(0, vec![node("a", 1)]);
    registry.apply(100, vec![gone("a")]);
    assert_eq!(registry.next_deadline(), Some(100 + GRACE_MS));
    assert!(is_nothing(&registry.poll(99 + GRACE_MS)));
    let update = registry.poll(100 + GRACE_MS);
    assert_eq!((forgotten(&update), update.notes.len()), (vec!["a"], 1));
    assert_eq!(registry.next_deadline(), None);
    assert_eq!(merged(&registry.apply(200_000, vec![put("a", 1)])), ["a:1"]);
}

#[test]
fn a_node_that_is_back_within_the_grace_time_is_not_forgotten() {
    let mut registry = registry();
    registry.read(0, vec![node("a", 1)]);
    registry.apply(100, vec![gone("a")]);
    let update = registry.apply(200, vec![put("a", 1)]);
    assert_eq!(merged(&update), ["a:1"], "told again, although it is the same");
    assert!(is_nothing(&registry.poll(1_000_000)));
}

#[test]
fn a_node_that_is_replaced_in_one_batch_has_not_left() {
    let mut registry = registry();
    registry.read(0, vec![node("a", 1)]);
    let update = registry.apply(1, vec![gone("a"), put("a", 2)]);
    assert!(left(&update).is_empty());
    assert_eq!(merged(&update), ["a:2"]);
    let update = registry.apply(2, vec![put("b", 3), gone("b")]);
    assert_eq!(left(&update), ["b"]);
}

#[test]
fn a_store_that_has_lost_its_data_has_the_time_of_a_lease_to_get_it_back() {
    let mut registry = registry();
    registry.read(0, vec![node("a", 1), node("b", 2)]);
    assert!(is_nothing(&registry.read(1_000, vec![])));
    assert_eq!(registry.next_deadline(), Some(1_000 + LEASE_MS));
    assert!(is_nothing(&registry.apply(2_000, vec![put("a", 1)])));
    let update = registry.poll(1_000 + LEASE_MS);
    assert_eq!(left(&update), ["b"]);
    assert_eq!(forgotten(&registry.poll(1_000 + LEASE_MS + GRACE_MS)), ["b"]);
}

#[test]
fn the_own_key_is_told_apart_and_does_not_change_the_map() {
    let mut registry = registry();
    assert_eq!(registry.read(0, vec![node("a", 1)]).own, Some(None));
    let update = registry.apply(1, vec![put("own", 9)]);
    assert!(!update.changes_map());
    let entry = NodeValue {
        address: "10.0.0.1:9".into(),
        ..NodeValue::default()
    };
    assert_eq!(update.own, Some(Some(Entry::Node(entry))));
    assert_eq!(registry.apply(2, vec![gone("own")]).own, Some(None));
    assert_eq!(registry.apply(3, vec![put("a", 2)]).own, None);
}

#[test]
fn other_keys_are_reported_once_and_change_nothing() {
    let mut registry = registry();
    let others = || {
        vec![
            key("eu/db", "x"),
            key("config", "thread = 4"),
            key("", "{}"),
            node("a", 1),
        ]
    };
    let update = registry.read(0, others());
    assert_eq!((merged(&update), update.notes.len()), (vec!["a:1".to_owned()], 3));
    assert!(is_nothing(&registry.read(1, others())));
    let many = (0..1_000).map(|index| Event::Put(key(&format!("x/{index}"), "")));
    assert!(registry.apply(2, many.collect()).notes.len() < 20);
}

#[test]
fn a_wrong_value_leaves_a_node_as_it_was() {
    let mut registry = registry();
    registry.read(0, vec![node("a", 1)]);
    let update = registry.apply(1, vec![Event::Put(key("a", "{\"address\":\"\"}"))]);
    assert_eq!((update.changes_map(), update.notes.len()), (false, 1));
    assert!(is_nothing(
        &registry.read(2, vec![key("a", "{\"address\":\"\"}")])
    ));
    assert_eq!(registry.next_deadline(), None, "its key is there");
    assert_eq!(merged(&registry.apply(3, vec![put("a", 2)])), ["a:2"]);
}

#[test]
fn channels_and_zone_come_with_the_node() {
    let mut registry = registry();
    let value = r#"{"address":"10.0.0.1:1","channels":4,"zone":"beijing"}"#;
    let map = registry.read(0, vec![key("a", value)]).discovered.map;
    assert_eq!((map.channels("a"), map.zone("a")), (Some(4), Some("beijing")));
}

#[test]
fn more_nodes_than_the_bound_are_left_out_with_one_line() {
    let mut registry = registry();
    let many = (0..DISCOVERED_NODES_MAX + 10).map(|index| node(&format!("n{index}"), 1));
    let update = registry.read(0, many.collect());
    assert_eq!(update.discovered.map.nodes.len(), DISCOVERED_NODES_MAX);
    assert_eq!(update.notes.len(), 1);
}
