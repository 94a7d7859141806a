//! The cluster map: which nodes there are, and where they listen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skyring_codec::native::CHANNELS_MAX;

use super::address::NodeAddress;
use super::error::{ConfigError, ConfigErrorKind, quoted};
use super::evaluate::{self, Entries, Value, Variables};
use super::group::{Group, region};
use super::source;
use super::when_down::WhenDown;

/// The longest name of a node, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 255;

/// The longest zone, in bytes.
pub const ZONE_BYTES_MAX: usize = 63;

/// What a map says about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEntry {
    /// The node listens here.
    Address(NodeAddress),
    /// The node is turned off (`false`): calls to it fail at once.
    Disabled,
}

impl NodeEntry {
    /// The address, if the node has one.
    pub fn address(&self) -> Option<&NodeAddress> {
        match self {
            NodeEntry::Address(address) => Some(address),
            NodeEntry::Disabled => None,
        }
    }
}

/// A cluster map.
///
/// As a file it is Lua that assigns globals (`db = "127.0.0.1:7102"`), returns a table, or both; the returned
/// table wins. A value is `"host:port"` or `false`; keys that begin with `__` are options. `$NAME` is not
/// replaced in a map, as in Skynet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterMap {
    /// The nodes by name.
    pub nodes: BTreeMap<String, NodeEntry>,
    /// `__nowaiting`: whether a call to a node that the map does not name fails at once (`true`) or waits for
    /// a reload that names it (`false`, and what `None` means).
    pub nowaiting: Option<bool>,
    /// `__channels = N`: how many channels to have to each node, where nothing else says it for the node.
    pub channels_default: Option<u32>,
    /// `__channels = { NAME = N }`: how many channels to have to a node, and at that node, how many to let
    /// each peer have.
    pub channels_by_node: BTreeMap<String, u32>,
    /// `__when_down = "wait"`: what happens to calls to nodes that are down, where nothing else says it for the node.
    pub when_down_default: Option<WhenDown>,
    /// `__when_down = { NAME = "wait" }`: the same for one node or group.
    pub when_down_by_node: BTreeMap<String, WhenDown>,
    /// `__groups`: several nodes behind one name each; `None` takes a group out of the map that this one is merged
    /// into.
    pub groups: BTreeMap<String, Option<Group>>,
    /// `__zones = { NAME = "ZONE" }`: the zones of nodes whose names do not say it; see [`ClusterMap::zone`].
    pub zones: BTreeMap<String, String>,
    /// Options this engine does not know, by their name without `__`, with their value as text.
    pub options: BTreeMap<String, String>,
    /// Where the map was read from, for messages; `None` for a map built in code.
    pub file: Option<PathBuf>,
}

impl ClusterMap {
    /// A map without nodes.
    pub fn new() -> ClusterMap {
        ClusterMap::default()
    }

    /// Reads and evaluates a map file. An empty file is a map without nodes.
    ///
    /// # Errors
    /// When the file cannot be read or evaluated, or a value is neither an address nor `false`.
    pub fn load(path: &Path) -> Result<ClusterMap, ConfigError> {
        ClusterMap::evaluated(path, source::read(path)?)
    }

    /// As [`ClusterMap::load`], with the files that were read: the map's own, and what it includes.
    ///
    /// # Errors
    /// As [`ClusterMap::load`].
    pub(crate) fn load_files(path: &Path) -> Result<(ClusterMap, Vec<PathBuf>), ConfigError> {
        let (entries, files) = evaluate::evaluate_files(path, source::read(path)?, Variables::Plain)?;
        Ok((ClusterMap::from_entries(path, &entries)?, files))
    }

    /// Evaluates the text of a map; `file` stands in errors, and includes are relative to its directory.
    ///
    /// # Errors
    /// As [`ClusterMap::load`].
    pub fn parse(source: &str, file: &str) -> Result<ClusterMap, ConfigError> {
        ClusterMap::evaluated(Path::new(file), source.as_bytes().to_vec())
    }

    fn evaluated(path: &Path, text: Vec<u8>) -> Result<ClusterMap, ConfigError> {
        ClusterMap::from_entries(path, &evaluate::evaluate(path, text, Variables::Plain)?)
    }

    /// Checks what an evaluation gave.
    pub(super) fn from_entries(path: &Path, entries: &Entries) -> Result<ClusterMap, ConfigError> {
        let mut map = ClusterMap {
            file: Some(path.to_owned()),
            ..ClusterMap::default()
        };
        for (key, value) in entries {
            match (key.strip_prefix("__"), value) {
                (Some("nowaiting"), Value::Boolean(nowaiting)) => map.nowaiting = Some(*nowaiting),
                (Some("nowaiting"), found) => {
                    return Err(ConfigError::wrong_value(path, key, "true or false", found));
                }
                (Some("channels"), value) => map.read_channels(path, key, value)?,
                (Some("when_down"), value) => map.read_when_down(path, key, value)?,
                (Some("zones"), value) => map.read_zones(path, key, value)?,
                (Some("groups"), Value::Table(groups)) => {
                    for (name, value) in groups {
                        map.groups.insert(name.clone(), Group::read(path, name, value)?);
                    }
                }
                (Some("groups"), found) => {
                    let expected = "a table of groups, as in { db = { \"db1\", \"db2\" } }";
                    return Err(ConfigError::wrong_value(path, key, expected, found));
                }
                (Some(option), Value::Text(text) | Value::Number { text, .. }) => {
                    map.options.insert(option.to_owned(), text.clone());
                }
                (Some(option), other) => {
                    map.options.insert(option.to_owned(), other.to_string());
                }
                (None, value) => {
                    let entry = node_entry(path, key, value)?;
                    map.nodes.insert(key.clone(), entry);
                }
            }
        }
        map.check_groups(path)?;
        Ok(map)
    }

    /// Checks that nodes and groups have names of their own, and that the members of groups are nodes.
    fn check_groups(&self, path: &Path) -> Result<(), ConfigError> {
        for (name, group) in &self.groups {
            let Some(group) = group else { continue };
            let is_group = |member: &&String| matches!(self.groups.get(*member), Some(Some(_)));
            let wrong = if self.nodes.contains_key(name) {
                Some(format!("{}, which is a node", quoted(name)))
            } else {
                let member = group.members().iter().find(is_group);
                member.map(|member| format!("the member {}, which is a group", quoted(member)))
            };
            if let Some(found) = wrong {
                let expected = "a name that no node has, and nodes as members".to_owned();
                let kind = ConfigErrorKind::WrongValue { expected, found };
                return Err(ConfigError::of_key(path, &format!("__groups.{name}"), kind));
            }
        }
        Ok(())
    }

    fn read_channels(&mut self, path: &Path, key: &str, value: &Value) -> Result<(), ConfigError> {
        let Value::Table(nodes) = value else {
            self.channels_default = Some(channels(path, key, value)?);
            return Ok(());
        };
        for (name, value) in nodes {
            let number = channels(path, &format!("{key}.{name}"), value)?;
            self.channels_by_node.insert(name.clone(), number);
        }
        Ok(())
    }

    fn read_when_down(&mut self, path: &Path, key: &str, value: &Value) -> Result<(), ConfigError> {
        let Value::Table(nodes) = value else {
            const EXPECTED: &str = "\"fail\", \"wait\", or a table of NODE = one of them";
            let read = WhenDown::of_value(value);
            let when_down = read.ok_or_else(|| ConfigError::wrong_value(path, key, EXPECTED, value))?;
            self.when_down_default = Some(when_down);
            return Ok(());
        };
        for (name, value) in nodes {
            let read = WhenDown::of_value(value);
            let when_down = read.ok_or_else(|| {
                ConfigError::wrong_value(path, &format!("{key}.{name}"), "\"fail\" or \"wait\"", value)
            })?;
            self.when_down_by_node.insert(name.clone(), when_down);
        }
        Ok(())
    }

    fn read_zones(&mut self, path: &Path, key: &str, value: &Value) -> Result<(), ConfigError> {
        const EXPECTED: &str = "a table of NODE = \"ZONE\"";
        let Value::Table(nodes) = value else {
            return Err(ConfigError::wrong_value(path, key, EXPECTED, value));
        };
        for (name, value) in nodes {
            match value {
                Value::Text(zone) if is_zone(zone) => {
                    self.zones.insert(name.clone(), zone.clone());
                }
                found => {
                    let key = format!("{key}.{name}");
                    let expected = format!("a zone of 1 to {ZONE_BYTES_MAX} bytes, none a control character");
                    return Err(ConfigError::wrong_value(path, &key, expected, found));
                }
            }
        }
        Ok(())
    }

    /// The zone of a node: what `__zones` or the node itself says, else what its [name says](region).
    pub fn zone<'a>(&'a self, node: &'a str) -> Option<&'a str> {
        self.zones.get(node).map(String::as_str).or_else(|| region(node))
    }

    /// How many channels the map wants to a node, if it says so.
    pub fn channels(&self, node: &str) -> Option<u32> {
        self.channels_by_node.get(node).copied().or(self.channels_default)
    }

    /// What the map says about calls to a node, or to a group, that is down.
    pub fn when_down(&self, node: &str) -> Option<WhenDown> {
        self.when_down_by_node
            .get(node)
            .copied()
            .or(self.when_down_default)
    }

    /// This map with a node at `address` (`host:port`), for maps built in code.
    ///
    /// # Errors
    /// When the name or the address is not valid.
    pub fn with(mut self, name: &str, address: &str) -> Result<ClusterMap, ConfigError> {
        let entry = node_entry(Path::new("cluster map"), name, &Value::Text(address.to_owned()))?;
        self.nodes.insert(name.to_owned(), entry);
        Ok(self)
    }

    /// This map with several nodes behind one name.
    ///
    /// # Errors
    /// When the name is not valid or a node's, or a member is a group.
    pub fn with_group(mut self, name: &str, group: Group) -> Result<ClusterMap, ConfigError> {
        let path = Path::new("cluster map");
        check_name(path, name)?;
        self.groups.insert(name.to_owned(), Some(group));
        self.check_groups(path)?;
        Ok(self)
    }

    /// The groups by name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        let groups = self.groups.iter();
        groups.filter_map(|(name, group)| Some((name.as_str(), group.as_ref()?)))
    }

    /// This map with a node turned off.
    #[must_use]
    pub fn disable(mut self, name: &str) -> ClusterMap {
        self.nodes.insert(name.to_owned(), NodeEntry::Disabled);
        self
    }

    /// Takes over what `newer` says, as a reload does: nodes and options that it does not name stay as they
    /// are. What was a node and is a group in `newer`, or the other way round, is what `newer` says.
    pub fn merge(&mut self, newer: ClusterMap) {
        self.groups.retain(|name, _| !newer.nodes.contains_key(name));
        for (name, group) in newer.groups {
            match group {
                Some(group) => {
                    self.nodes.remove(&name);
                    self.groups.insert(name, Some(group));
                }
                None => {
                    self.groups.remove(&name);
                }
            }
        }
        self.nodes.extend(newer.nodes);
        self.nowaiting = newer.nowaiting.or(self.nowaiting);
        self.channels_default = newer.channels_default.or(self.channels_default);
        self.channels_by_node.extend(newer.channels_by_node);
        self.when_down_default = newer.when_down_default.or(self.when_down_default);
        self.when_down_by_node.extend(newer.when_down_by_node);
        self.zones.extend(newer.zones);
        self.options.extend(newer.options);
        self.file = newer.file.or(self.file.take());
    }

    /// Takes a node out of the map, which a merge cannot.
    pub(crate) fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
        self.channels_by_node.remove(node);
        self.when_down_by_node.remove(node);
        self.zones.remove(node);
    }

    /// One line for each thing in the map that has no effect.
    pub fn warnings(&self) -> Vec<String> {
        let file = self.file.as_deref().unwrap_or(Path::new("cluster map")).display();
        let known = "the known options are __channels, __groups, __nowaiting, __when_down and __zones";
        let unknown = self
            .options
            .keys()
            .map(|option| format!("{file}: __{option}: has no effect; {known}"));
        let is_known = |name: &&String| self.nodes.contains_key(*name) || self.groups.contains_key(*name);
        let waited = self.when_down_by_node.keys().filter(|name| !is_known(name));
        let waited = waited.map(|name| {
            format!("{file}: __when_down.{name}: has no effect; this map has no such node or group")
        });
        let nameless = self
            .channels_by_node
            .keys()
            .filter(|name| !self.nodes.contains_key(*name))
            .map(|name| format!("{file}: __channels.{name}: has no effect; this map has no such node"));
        let members = self.groups().flat_map(|(name, group)| {
            let members = group.members().iter().map(move |member| (name, member));
            // A map made in code may name them elsewhere.
            members.filter(|(_, member)| self.file.is_some() && !self.nodes.contains_key(*member))
        });
        let strangers = members.map(|(name, member)| {
            format!("{file}: __groups.{name}: this map has no node {}", quoted(member))
        });
        unknown.chain(nameless).chain(waited).chain(strangers).collect()
    }
}

/// Whether a text can be a zone.
pub(crate) fn is_zone(zone: &str) -> bool {
    !zone.is_empty() && zone.len() <= ZONE_BYTES_MAX && !zone.chars().any(char::is_control)
}

/// Checks a number of channels.
fn channels(path: &Path, key: &str, value: &Value) -> Result<u32, ConfigError> {
    let number = match value {
        Value::Number { whole, .. } => whole.and_then(|whole| u32::try_from(whole).ok()),
        _ => None,
    };
    number
        .filter(|number| (1..=CHANNELS_MAX).contains(number))
        .ok_or_else(|| {
            let expected =
                format!("a whole number from 1 to {CHANNELS_MAX}, or a table of NODE = such a number");
            ConfigError::wrong_value(path, key, &expected, value)
        })
}

/// Checks the name of a node or of a group.
pub(super) fn check_name(path: &Path, name: &str) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > NODE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let kind = ConfigErrorKind::WrongValue {
            expected: format!("a node name of 1 to {NODE_NAME_BYTES_MAX} bytes, none a control character"),
            found: quoted(name),
        };
        return Err(ConfigError::of_file(path, kind));
    }
    Ok(())
}

/// Checks one node of a map.
fn node_entry(path: &Path, name: &str, value: &Value) -> Result<NodeEntry, ConfigError> {
    check_name(path, name)?;
    match value {
        Value::Boolean(false) => Ok(NodeEntry::Disabled),
        Value::Text(text) => match text.parse() {
            Ok(address) => Ok(NodeEntry::Address(address)),
            Err(expected) => Err(ConfigError::wrong_value(path, name, expected, value)),
        },
        other => Err(ConfigError::wrong_value(
            path,
            name,
            "\"host:port\" or false",
            other,
        )),
    }
}
