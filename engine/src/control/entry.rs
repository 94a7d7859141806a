//! What stands in etcd about one node: its key, and its value as JSON.

use serde::{Deserialize, Serialize};

use crate::config::{NODE_NAME_BYTES_MAX, NodeAddress, is_zone};

/// The longest value of a node that is read, in bytes.
pub(super) const ENTRY_BYTES_MAX: usize = 4_096;

/// The longest text that is quoted from an entry, in characters.
const QUOTED_CHARACTERS_MAX: usize = 60;

/// Most characters of a text of etcd's in an error.
const TEXT_CHARACTERS_MAX: usize = 200;

/// What a node publishes, or an operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The node is there.
    Node(NodeValue),
    /// The node is turned off: the value is `false`.
    Disabled,
}

/// The fields of a node's value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct NodeValue {
    /// Where it is called, `host:port`.
    pub(crate) address: String,
    /// How many channels it wants from each peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channels: Option<u32>,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// The version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Which process it is: a random number of its start. An operator's entry has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
    /// When it was started, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_ms: Option<u64>,
}

impl Entry {
    /// Reads a value; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Entry, String> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(format!(
                "its value has {} bytes, and {ENTRY_BYTES_MAX} are the most",
                bytes.len()
            ));
        }
        if bytes.trim_ascii() == b"false" {
            return Ok(Entry::Disabled);
        }
        let value: NodeValue = serde_json::from_slice(bytes).map_err(|error| {
            format!(
                "its value {} is neither false nor the entry of a node: {}",
                quoted(bytes),
                one_line(&error.to_string())
            )
        })?;
        value.address.parse::<NodeAddress>().map_err(|expected| {
            format!(
                "its address {} is not {expected}",
                quoted(value.address.as_bytes())
            )
        })?;
        if let Some(channels) = value.channels
            && !(1..=skyring_codec::native::CHANNELS_MAX).contains(&channels)
        {
            return Err(format!("it cannot have {channels} channels"));
        }
        if let Some(zone) = &value.zone
            && !is_zone(zone)
        {
            return Err(format!("its zone {} is not one", quoted(zone.as_bytes())));
        }
        Ok(Entry::Node(value))
    }

    /// The value for etcd.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Entry::Disabled => b"false".to_vec(),
            // Texts and numbers can always be written.
            Entry::Node(value) => serde_json::to_vec(value).unwrap_or_default(),
        }
    }
}

/// The name of the node with this key, or what is wrong with it.
pub(crate) fn node_name<'a>(prefix: &str, key: &'a [u8]) -> Result<&'a str, String> {
    let rest = key
        .strip_prefix(prefix.as_bytes())
        .ok_or("it has another prefix")?;
    let name = str::from_utf8(rest).map_err(|_| "its name is not UTF-8")?;
    if name.is_empty() || name.len() > NODE_NAME_BYTES_MAX {
        return Err(format!("a node's name has 1 to {NODE_NAME_BYTES_MAX} bytes"));
    }
    if name.contains('/') {
        return Err("it is deeper than the names of nodes".to_owned());
    }
    if name.starts_with("__") || name.chars().any(char::is_control) {
        return Err("no node can have its name".to_owned());
    }
    Ok(name)
}

/// Bytes from etcd as messages quote them.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut characters = text.chars();
    let mut head: String = characters.by_ref().take(QUOTED_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        head.push('…');
    }
    format!("{head:?}")
}

/// A text from etcd, or one that quotes it, for an error: cut where it is long, and with its control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(TEXT_CHARACTERS_MAX) {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let full = Entry::Node(NodeValue {
            address: "10.1.1.5:7101".into(),
            channels: Some(4),
            zone: Some("beijing".into()),
            version: Some("0.1.0".into()),
            process: Some("1f".into()),
            started_ms: Some(1_795_985_000_000),
        });
        for entry in [full, Entry::Disabled] {
            assert_eq!(Entry::parse(&entry.to_bytes()), Ok(entry));
        }
        let short = Entry::parse(br#"{"address":"db:7101","what a later version adds":[1]}"#);
        assert!(matches!(short, Ok(Entry::Node(value)) if value.address == "db:7101"));
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_the_cause() {
        let long = format!(
            "{{\"address\":\"db:1\",\"version\":\"{}\"}}",
            "1".repeat(ENTRY_BYTES_MAX)
        );
        for (text, cause) in [
            ("", "neither false nor the entry of a node"),
            ("true", "neither false nor the entry of a node"),
            ("7", "neither false nor the entry of a node"),
            ("\"10.1.1.5:7101\"", "neither false nor the entry of a node"),
            ("{}", "address"),
            (r#"{"address":7}"#, "neither false"),
            (r#"{"address":"db"}"#, "its address \"db\" is not"),
            (r#"{"address":"db:1","channels":0}"#, "0 channels"),
            (r#"{"address":"db:1","channels":1025}"#, "1025 channels"),
            (r#"{"address":"db:1","zone":""}"#, "its zone \"\" is not one"),
            (&"[".repeat(4_000), "neither false"),
            (&long, "4096 are the most"),
        ] {
            let error = Entry::parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(cause), "{text}: {error}");
        }
        assert!(Entry::parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn only_a_key_of_a_node_has_a_name() {
        assert_eq!(node_name("/game/", b"/game/db"), Ok("db"));
        for key in [
            &b"/game/"[..],
            b"/game/eu/db",
            b"/other/db",
            b"/game/__groups",
            b"/game/a\nb",
            b"/game/\xff",
        ] {
            assert!(node_name("/game/", key).is_err(), "{}", quoted(key));
        }
        assert!(node_name("/", format!("/{}", "x".repeat(256)).as_bytes()).is_err());
    }
}
