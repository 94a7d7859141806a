//! What fuzzing runs: answers of etcd and of DNS, any bytes, up to the changes of the map that follow from them. Each
//! function panics where they break a promise:
//!
//! - an error is one text of a bounded length, without control characters;
//! - a node that comes into the map has a name and an address that a map may have;
//! - each change is told once, and what is held is bounded;
//! - what was read can be written and read again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::dns::{self, records};
use super::entry::{Entry, node_name};
use super::etcd::wire;
use super::registry::{DISCOVERED_NODES_MAX, Registry, Update};
use crate::config::NodeEntry;

/// Told of each thing that happens: its name, and a number that has few values.
pub type Note = fn(&str, u64);

/// The longest error that an answer of 4,096 bytes may cause.
const ERROR_BYTES: usize = 1_024;

/// Notes that one input may cause: those of keys without effect, one that there are too many, and one for each node that is
/// taken out.
const NOTES: usize = 4_096;

const PREFIX: &str = "/game/";
const LEASE_MS: u64 = 5_000;
const GRACE_MS: u64 = 60_000;

/// The question that the answers of DNS are for.
const NAME: &str = "_skyring._tcp.game.svc";
const ID: u16 = 7;

/// Answers of etcd. The first byte says to which question, or that the lines are those of a node's whole life: the first
/// one all keys, then changes, and `@` before a number of milliseconds that pass.
pub fn etcd_answers(input: &[u8], note: Note) {
    let Some((kind, body)) = input.split_first() else {
        return;
    };
    match kind % 8 {
        0 => outcome("range", wire::read_range(body), note),
        1 => outcome("grant", wire::read_grant(body), note),
        2 => outcome("keepalive", wire::read_keepalive(body), note),
        3 => outcome("put_if", wire::read_put_if(body), note),
        4 => outcome("deleted", wire::read_deleted(body), note),
        5 => outcome("authentication", wire::read_authentication(body), note),
        6 => {
            outcome("watch", wire::read_watch(body), note);
            if let Some(text) = wire::refusal(body) {
                note("refusal", 0);
                check_text(&text);
            }
        }
        _ => life(body, note),
    }
}

/// Answers of DNS. The first byte says to which kind of question.
pub fn dns_answers(input: &[u8], note: Note) {
    let Some((kind, body)) = input.split_first() else {
        return;
    };
    let kind = [records::Kind::Srv, records::Kind::A, records::Kind::Aaaa][usize::from(kind % 3)];
    let records = match records::read(body, ID, NAME, kind) {
        Ok(records) => records,
        Err(records::Fault::NotIt) => return note("not it", 0),
        Err(records::Fault::CutOff) => return note("cut off", 0),
        Err(records::Fault::Refused(text)) => {
            check_text(&text);
            return note("refused", text.len() as u64);
        }
    };
    for (target, port) in &records.services {
        note(
            "service",
            magnitude(usize::from(*port)) << 4 | magnitude(target.len()),
        );
    }
    for address in &records.addresses {
        note("address", u64::from(address.is_ipv6()));
    }
    for (host, address) in &records.additional {
        note("host", magnitude(host.len()) << 1 | u64::from(address.is_ipv6()));
    }
    note("services", magnitude(records.services.len()));
    note("addresses", magnitude(records.addresses.len()));
    note("additional", magnitude(records.additional.len()));
    for count in [
        records.services.len(),
        records.addresses.len(),
        records.additional.len(),
    ] {
        assert!(count <= records::RECORDS_MAX, "{count} records");
    }
    assert!(kind == records::Kind::Srv || records.services.is_empty());
    let mut nodes = BTreeMap::new();
    for (target, port) in &records.services {
        let ip = records.additional.get(&target.to_ascii_lowercase());
        if let Some(ip) = ip.or(records.additional.values().next()) {
            let name = target.split('.').next().unwrap_or_default();
            dns::insert(&mut nodes, name, SocketAddr::new(*ip, *port));
        }
    }
    note("nodes", magnitude(nodes.len()));
    let mut registry = Registry::new("DNS", "", None, LEASE_MS, GRACE_MS);
    check("", &registry.read_nodes(0, &nodes), note);
    assert_eq!(
        registry.read_nodes(1, &nodes),
        Update::default(),
        "nothing has changed"
    );
    let update = registry.read_nodes(2, &BTreeMap::new());
    assert!(
        !update.changes_map(),
        "an answer may be of a server that is behind"
    );
    let left = registry.poll(2 + LEASE_MS).discovered.left.len();
    assert_eq!(left, nodes.len());
}

/// All that a node hears from etcd.
fn life(body: &[u8], note: Note) {
    let mut lines = body.split(|byte| *byte == b'\n');
    let mut registry = Registry::new("etcd", PREFIX, Some("own"), LEASE_MS, GRACE_MS);
    let mut now = 0;
    let first = lines.next().unwrap_or_default();
    if let Ok(range) = wire::read_range(first) {
        check(PREFIX, &registry.read(now, range.keys), note);
    }
    for line in lines {
        let update = match line.strip_prefix(b"@") {
            Some(time) => {
                let digits = time.iter().take(6).filter(|byte| byte.is_ascii_digit());
                now += digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
                let update = registry.poll(now);
                if let Some(next) = registry.next_deadline() {
                    assert!(next > now, "{next} is not after {now}");
                }
                update
            }
            None => match wire::read_watch(line) {
                Ok(events) => registry.apply(now, events),
                Err(error) => {
                    check_text(&error);
                    note("no watch", 0);
                    continue;
                }
            },
        };
        check(PREFIX, &update, note);
    }
    let count = registry.names().count();
    note("known", magnitude(count));
    assert!(count <= DISCOVERED_NODES_MAX, "{count} nodes");
    for name in registry.names() {
        assert!(node_name("", name.as_bytes()).is_ok(), "{name:?}");
        assert!(name != "own", "the node itself is no other node");
    }
}

/// What follows from an answer.
fn check(prefix: &str, update: &Update, note: Note) {
    let map = &update.discovered.map;
    note("joined", magnitude(map.nodes.len()));
    note("left", magnitude(update.discovered.left.len()));
    note("forgotten", magnitude(update.discovered.forgotten.len()));
    note("notes", magnitude(update.notes.len()));
    note(
        "own",
        update.own.as_ref().map_or(0, |own| 1 + u64::from(own.is_some())),
    );
    for (name, entry) in &map.nodes {
        let key = format!("{prefix}{name}");
        assert_eq!(node_name(prefix, key.as_bytes()), Ok(name.as_str()));
        if let NodeEntry::Address(address) = entry {
            assert_eq!(address.to_string().parse().as_ref(), Ok(address));
        }
    }
    for name in map.channels_by_node.keys().chain(map.zones.keys()) {
        assert!(map.nodes.contains_key(name), "{name:?} is no node");
    }
    let mut left = BTreeSet::new();
    for (name, cause) in &update.discovered.left {
        assert!(left.insert(name), "{name} has left twice");
        assert!(!map.nodes.contains_key(&**name), "{name} is here and has left");
        check_text(cause);
    }
    assert!(update.notes.len() <= NOTES, "{} notes", update.notes.len());
    update.notes.iter().for_each(|note| check_text(note));
    if let Some(line) = update.line("etcd") {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    if let Some(Some(entry @ Entry::Node(_))) = &update.own {
        assert_eq!(Entry::parse(&entry.to_bytes()).as_ref(), Ok(entry));
    }
}

fn outcome<T>(what: &str, outcome: Result<T, String>, note: Note) {
    note(what, u64::from(outcome.is_ok()));
    if let Err(error) = outcome {
        // Errors differ by their beginning; what follows may be of the input.
        note("error", magnitude(error.len()));
        check_text(&error);
    }
}

/// An error or a line for the log.
fn check_text(text: &str) {
    assert!(text.len() <= ERROR_BYTES, "{} bytes of error", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// A number by its power of two.
fn magnitude(number: usize) -> u64 {
    u64::from(usize::BITS - number.leading_zeros())
}
