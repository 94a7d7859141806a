//! The nodes as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use skyring::NodeState;

use super::source::Node;
use crate::shared::output::escape_line;

const HEADINGS: [&str; 7] = ["node", "state", "address", "source", "age", "version", "zone"];

/// One line for each node, below the headings.
pub(super) fn text(nodes: &BTreeMap<String, Node>, states: &BTreeMap<String, NodeState>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |time| time.as_millis() as u64);
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for (name, node) in nodes {
        let state = match (&node.address, states.get(name)) {
            (None, _) => "off",
            (Some(_), Some(state)) => state.name(),
            (Some(_), None) => "unknown",
        };
        let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let address = node.address.as_ref().map(ToString::to_string);
        let age = node
            .started_ms
            .map(|started_ms| age(now_ms.saturating_sub(started_ms)));
        let row = [
            name.clone(),
            state.to_owned(),
            optional(&address),
            node.source.clone(),
            optional(&age),
            optional(&node.version),
            optional(&node.zone),
        ];
        rows.push(row.map(|cell| escape_line(&cell)));
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time in its largest whole unit.
fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_in_its_largest_whole_unit() {
        assert_eq!(age(59_999), "59 s");
        assert_eq!(age(60_000), "1 min");
        assert_eq!(age(7_200_000), "2 h");
        assert_eq!(age(200_000_000), "2 d");
    }

    #[test]
    fn every_node_has_a_line_with_aligned_cells() {
        let node = |address: Option<&str>| Node {
            address: address.map(|address| address.parse().unwrap()),
            source: "map.lua".into(),
            zone: Some("beijing\u{1b}".into()),
            version: None,
            started_ms: None,
        };
        let nodes = BTreeMap::from([
            ("db".to_owned(), node(Some("127.0.0.1:7102"))),
            ("gate".to_owned(), node(None)),
        ]);
        let states = BTreeMap::from([("db".to_owned(), NodeState::Up)]);
        let text = text(&nodes, &states);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "node  state  address         source   age  version  zone"
        );
        assert!(lines[1].starts_with("db    up     127.0.0.1:7102  map.lua  -    -        beijing"));
        assert!(lines[2].starts_with("gate  off    -               map.lua"));
        assert!(!text.contains('\u{1b}'));
    }
}
