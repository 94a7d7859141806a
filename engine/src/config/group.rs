//! Groups: several nodes behind one name, as a cluster map defines them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::error::{ConfigError, ConfigErrorKind, quoted};
use super::evaluate::{Entries, Value};
use super::map::check_name;

/// Most members of a group.
pub const GROUP_MEMBERS_MAX: usize = 64;

/// The longest time after which an idempotent call may be sent to a second member, in milliseconds.
pub const HEDGE_MS_MAX: u64 = 60_000;

/// Which member of a group a message goes to. Members that are not up are left out as long as one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The first that is up.
    Failover,
    /// Any, by chance.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest calls of this shard in flight.
    LeastInFlight,
    /// By the message's key: a key has always the same member, and when one goes only its keys move; see
    /// [`placement::member_of_key`](crate::placement::member_of_key).
    Hash,
    /// The one that answers soonest, and those of this node's region before all others; see [`region`].
    Nearest,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 6] = [
        Policy::Failover,
        Policy::Random,
        Policy::RoundRobin,
        Policy::LeastInFlight,
        Policy::Hash,
        Policy::Nearest,
    ];

    /// Its name in a map.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Failover => "failover",
            Policy::Random => "random",
            Policy::RoundRobin => "round-robin",
            Policy::LeastInFlight => "least-in-flight",
            Policy::Hash => "hash",
            Policy::Nearest => "nearest",
        }
    }

    /// Whether the messages of one caller, or of one key, stay with one member as long as it is up.
    pub fn is_steady(self) -> bool {
        matches!(self, Policy::Failover | Policy::Hash | Policy::Nearest)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The region of a node, which its name says: what stands behind the last `_`. `gate_beijing` and `db_beijing`
/// are in one region; `None` = the name says none.
pub fn region(node: &str) -> Option<&str> {
    node.rsplit_once('_')
        .map(|(_, region)| region)
        .filter(|region| !region.is_empty())
}

/// Several nodes behind one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(crate) members: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) hedge_ms: Option<u64>,
}

impl Group {
    /// A group of these nodes, 1 to [`GROUP_MEMBERS_MAX`].
    ///
    /// # Errors
    /// When there are none or too many, or one is named twice.
    pub fn new<'a>(policy: Policy, members: impl IntoIterator<Item = &'a str>) -> Result<Group, ConfigError> {
        let members: Vec<String> = members.into_iter().map(str::to_owned).collect();
        let path = Path::new("cluster map");
        check_members(path, "group", &members)?;
        Ok(Group {
            members,
            policy,
            hedge_ms: None,
        })
    }

    /// Sends a call that is marked idempotent to a second member when the first has not answered within this
    /// time, in whole milliseconds, at least 1; the first answer is used.
    #[must_use]
    pub fn hedge_after(mut self, time: Duration) -> Group {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(HEDGE_MS_MAX);
        self.hedge_ms = Some(milliseconds.clamp(1, HEDGE_MS_MAX));
        self
    }

    /// The nodes, in their order.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// How one of them is chosen.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Reads one entry of `__groups`; `None` = `false`, which takes the group out of the map.
    pub(super) fn read(path: &Path, name: &str, value: &Value) -> Result<Option<Group>, ConfigError> {
        check_name(path, name)?;
        let key = format!("__groups.{name}");
        let (listed, named) = match value {
            Value::Boolean(false) => return Ok(None),
            Value::Mixed { listed, named } => (listed, named),
            other => {
                let expected =
                    "a table of nodes, as in { \"db1\", \"db2\", policy = \"failover\" }, or false";
                return Err(ConfigError::wrong_value(path, &key, expected, other));
            }
        };
        let mut members = Vec::with_capacity(listed.len());
        for (index, member) in listed.iter().enumerate() {
            match member {
                Value::Text(member) => members.push(member.clone()),
                other => {
                    let key = format!("{key}[{}]", index + 1);
                    return Err(ConfigError::wrong_value(path, &key, "the name of a node", other));
                }
            }
        }
        check_members(path, &key, &members)?;
        let (policy, hedge_ms) = options(path, &key, named)?;
        Ok(Some(Group {
            members,
            policy,
            hedge_ms,
        }))
    }
}

fn check_members(path: &Path, key: &str, members: &[String]) -> Result<(), ConfigError> {
    let wrong = |expected: String, found: String| {
        Err(ConfigError::of_key(
            path,
            key,
            ConfigErrorKind::WrongValue { expected, found },
        ))
    };
    if members.is_empty() || members.len() > GROUP_MEMBERS_MAX {
        return wrong(
            format!("1 to {GROUP_MEMBERS_MAX} nodes"),
            format!("{} of them", members.len()),
        );
    }
    for (index, member) in members.iter().enumerate() {
        check_name(path, member)?;
        if members[..index].contains(member) {
            return wrong("each node once".to_owned(), format!("{} twice", quoted(member)));
        }
    }
    Ok(())
}

/// The policy and the hedge of a group.
fn options(path: &Path, key: &str, named: &Entries) -> Result<(Policy, Option<u64>), ConfigError> {
    let (mut policy, mut hedge_ms) = (Policy::Failover, None);
    for (option, value) in named {
        let key = format!("{key}.{option}");
        match (option.as_str(), value) {
            ("policy", value) => {
                let found = Policy::ALL
                    .into_iter()
                    .find(|policy| matches!(value, Value::Text(name) if name == policy.name()));
                policy = found.ok_or_else(|| {
                    let names = Policy::ALL.map(|policy| quoted(policy.name())).join(", ");
                    ConfigError::wrong_value(path, &key, format!("one of {names}"), value)
                })?;
            }
            ("hedge_ms", value) => {
                let found = match value {
                    Value::Number { whole, .. } => whole.and_then(|whole| u64::try_from(whole).ok()),
                    _ => None,
                };
                hedge_ms = found.filter(|found| (1..=HEDGE_MS_MAX).contains(found));
                if hedge_ms.is_none() {
                    let expected = format!("a whole number from 1 to {HEDGE_MS_MAX}");
                    return Err(ConfigError::wrong_value(path, &key, expected, value));
                }
            }
            (_, value) => {
                let expected = "nodes, and the options policy and hedge_ms";
                return Err(ConfigError::wrong_value(path, &key, expected, value));
            }
        }
    }
    Ok((policy, hedge_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterMap;

    fn group(text: &str) -> Group {
        let map = ClusterMap::parse(&format!("__groups = {{ db = {text} }}"), "map.lua").unwrap();
        map.groups["db"].clone().unwrap()
    }

    #[test]
    fn a_group_of_a_map_file_is_the_one_that_code_makes() {
        assert_eq!(
            group(r#"{ "db1", "db2" }"#),
            Group::new(Policy::Failover, ["db1", "db2"]).unwrap()
        );
        for policy in Policy::ALL {
            let made = Group::new(policy, ["a", "b", "c"]).unwrap();
            let made = made.hedge_after(Duration::from_millis(20));
            let text = format!(r#"{{ "a", "b", "c", policy = "{policy}", hedge_ms = 20 }}"#);
            assert_eq!(group(&text), made);
        }
    }

    #[test]
    fn an_invalid_group_is_reported_with_file_key_and_value() {
        let many: Vec<String> = (0..=GROUP_MEMBERS_MAX)
            .map(|number| format!("\"n{number}\""))
            .collect();
        let many = format!("{{ {} }}", many.join(", "));
        let cases: [(&str, &str); 9] = [
            ("7", "__groups.db: expected a table of nodes"),
            ("{}", "__groups.db: expected 1 to 64 nodes, found 0 of them"),
            (&many, "__groups.db: expected 1 to 64 nodes, found 65 of them"),
            (
                r#"{ "a", "a" }"#,
                "__groups.db: expected each node once, found \"a\" twice",
            ),
            (
                r#"{ "a", 7 }"#,
                "__groups.db[2]: expected the name of a node, found the number 7",
            ),
            (
                r#"{ "a", policy = "best" }"#,
                "__groups.db.policy: expected one of \"failover\", \"random\", \"round-robin\", \
                 \"least-in-flight\", \"hash\", \"nearest\", found \"best\"",
            ),
            (
                r#"{ "a", hedge_ms = 0 }"#,
                "__groups.db.hedge_ms: expected a whole number from 1 to 60000, found the number 0",
            ),
            (
                r#"{ "a", polic = "hash" }"#,
                "__groups.db.polic: expected nodes, and the options policy and hedge_ms, found \"hash\"",
            ),
            (
                r#"{ "a", { "b" } }"#,
                "__groups.db[2]: expected the name of a node, found a table",
            ),
        ];
        for (text, expected) in cases {
            let error = ClusterMap::parse(&format!("__groups = {{ db = {text} }}"), "map.lua").unwrap_err();
            let error = error.to_string();
            assert!(
                error.starts_with("map.lua: ") && error.contains(expected),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_region_of_a_node_stands_behind_the_last_underscore() {
        assert_eq!(region("gate_beijing"), Some("beijing"));
        assert_eq!(region("db_backup_shanghai"), Some("shanghai"));
        assert_eq!((region("gate"), region("gate_")), (None, None));
    }
}
