//! Which nodes may call which services.

use std::net::IpAddr;

use super::network::Network;
use super::service::SERVICE_NAME_BYTES_MAX;

/// The most services with a rule.
pub const RULES_MAX: usize = 1_024;

/// The most callers in one rule, or in the default.
pub const RULE_CALLERS_MAX: usize = 256;

/// Who may call a service: a name or a pattern of names, or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Callers {
    /// Everybody.
    All,
    /// Nodes whose name fits; `*` stands for any characters.
    Named(String),
    /// Skynet nodes, which have no name, with an address of the network.
    From(Network),
}

/// A node that calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallingNode<'a> {
    /// It has proved the cluster secret, and has this name; empty when it has none.
    Named(&'a str),
    /// It speaks the skynet dialect.
    Skynet(IpAddr),
}

/// The rules of a node. Without any, everybody may call everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permissions {
    rules: Vec<(String, Vec<Callers>)>,
    default: Vec<Callers>,
}

impl Default for Permissions {
    fn default() -> Permissions {
        Permissions {
            rules: Vec::new(),
            default: vec![Callers::All],
        }
    }
}

impl Permissions {
    /// Adds a rule for a service, whose name has no `@` or `.` in front; an error is what was expected.
    pub(super) fn add(&mut self, service: &str, callers: &[impl AsRef<str>]) -> Result<(), String> {
        let is_name = (1..=SERVICE_NAME_BYTES_MAX).contains(&service.len());
        if !is_name || service.starts_with(['@', '.', ':']) {
            return Err("the name of a service, without @ or . in front".to_owned());
        }
        if self.rules.len() >= RULES_MAX {
            return Err(format!("at most {RULES_MAX} services"));
        }
        self.rules.push((service.to_owned(), callers_of(callers)?));
        Ok(())
    }

    /// Sets who may call services without a rule.
    pub(super) fn set_default(&mut self, callers: &[impl AsRef<str>]) -> Result<(), String> {
        self.default = callers_of(callers)?;
        Ok(())
    }

    /// The services that have a rule, each with whether a node may call it.
    pub(crate) fn rules_for<'a>(
        &'a self,
        node: CallingNode<'a>,
    ) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
        self.rules
            .iter()
            .map(move |(service, callers)| (service.as_str(), is_among(callers, node)))
    }

    /// Whether a node may call the services that have no rule.
    pub(crate) fn is_allowed_by_default(&self, node: CallingNode<'_>) -> bool {
        is_among(&self.default, node)
    }

    /// Whether there is anything that a node may not call.
    pub(crate) fn limits(&self, node: CallingNode<'_>) -> bool {
        !self.is_allowed_by_default(node) || self.rules_for(node).any(|(_, is_allowed)| !is_allowed)
    }

    /// How many services have a rule.
    pub(crate) fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Whether everybody may call the services without a rule.
    pub(crate) fn is_open_by_default(&self) -> bool {
        self.default.contains(&Callers::All)
    }
}

fn callers_of(texts: &[impl AsRef<str>]) -> Result<Vec<Callers>, String> {
    if texts.len() > RULE_CALLERS_MAX {
        return Err(format!("at most {RULE_CALLERS_MAX} callers"));
    }
    let callers = texts.iter().map(|text| match text.as_ref() {
        "*" => Ok(Callers::All),
        "" => Err("names of nodes such as \"gate*\", or networks of Skynet nodes".to_owned()),
        text => Ok(match text.parse() {
            Ok(network) => Callers::From(network),
            Err(_) => Callers::Named(text.to_owned()),
        }),
    });
    callers.collect()
}

fn is_among(callers: &[Callers], node: CallingNode<'_>) -> bool {
    callers.iter().any(|callers| match (callers, node) {
        (Callers::All, _) => true,
        (Callers::Named(pattern), CallingNode::Named(name)) => !name.is_empty() && fits(pattern, name),
        (Callers::From(network), CallingNode::Skynet(address)) => network.contains(address),
        _ => false,
    })
}

/// Whether a name fits a pattern in which `*` stands for any characters, or none.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        // There is no `*`.
        return rest.is_empty();
    };
    // The first place where a part fits leaves the most for those behind it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("gate", "gate", true),
            ("gate", "gate1", false),
            ("gate", "agate", false),
            ("gate*", "gate", true),
            ("gate*", "gate_beijing", true),
            ("*_beijing", "gate_beijing", true),
            ("*_beijing", "gate_beijing2", false),
            ("g*_*1", "gate_beijing1", true),
            ("g*_*1", "gate1", false),
            ("*a*a*", "aa", true),
            ("*a*a*", "a", false),
            ("a*a", "a", false),
            ("网*", "网关", true),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        // The work is bounded by the lengths.
        assert!(!fits(&"*a".repeat(120), &"a".repeat(119)));
    }

    #[test]
    fn a_rule_names_its_callers_and_the_default_is_everybody_until_it_is_set() {
        let mut permissions = Permissions::default();
        let (gate, scene) = (CallingNode::Named("gate1"), CallingNode::Named("scene"));
        let (nameless, skynet) = (
            CallingNode::Named(""),
            CallingNode::Skynet("10.1.2.3".parse().expect("an address")),
        );
        assert!(!permissions.limits(nameless) && !permissions.limits(skynet));
        permissions.add("sdb", &["gate*", "10.1.0.0/16"]).expect("a rule");
        permissions.add("open", &["*"]).expect("a rule");
        let allowed = |permissions: &Permissions, node| -> Vec<bool> {
            let rules = permissions.rules_for(node).map(|(_, is_allowed)| is_allowed);
            rules.chain([permissions.is_allowed_by_default(node)]).collect()
        };
        assert_eq!(allowed(&permissions, gate), [true, true, true]);
        assert_eq!(allowed(&permissions, scene), [false, true, true]);
        assert_eq!(allowed(&permissions, nameless), [false, true, true]);
        assert_eq!(allowed(&permissions, skynet), [true, true, true]);
        assert!(!permissions.limits(gate) && permissions.limits(scene));
        permissions.set_default(&[] as &[&str]).expect("a default");
        assert_eq!(allowed(&permissions, gate), [true, true, false]);
        assert!(permissions.limits(gate));
        permissions.set_default(&["admin"]).expect("a default");
        assert_eq!(
            allowed(&permissions, CallingNode::Named("admin")),
            [false, true, true]
        );
        // A network is no name.
        assert!(!is_among(
            &[Callers::From("10.1.0.0/16".parse().expect("a network"))],
            CallingNode::Named("10.1.2.3")
        ));
    }

    #[test]
    fn names_with_a_prefix_empty_callers_and_too_many_are_refused() {
        let mut permissions = Permissions::default();
        for service in ["", "@sdb", ".sdb", ":0000000a"] {
            assert!(permissions.add(service, &["*"]).is_err(), "{service}");
        }
        assert!(permissions.add("sdb", &["gate", ""]).is_err());
        assert!(
            permissions
                .add("sdb", &vec!["gate"; RULE_CALLERS_MAX + 1])
                .is_err()
        );
        for number in 0..RULES_MAX {
            permissions.add(&format!("s{number}"), &["*"]).expect("a rule");
        }
        assert!(permissions.add("sdb", &["*"]).is_err());
    }
}
