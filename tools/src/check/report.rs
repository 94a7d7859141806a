//! The descriptions of node configs and cluster maps.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use skyring::config::{LogTime, NodeConfig, NodeEntry, WhenDown};
use skyring::{ClusterMap, Security, Tls};

use crate::shared::output::escape_line;

/// Lines of a name and a value, the names padded to one width.
#[derive(Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((escape_line(name), escape_line(&value.into())));
    }

    fn into_text(self, heading: &str) -> String {
        let width = self
            .0
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = format!("{}\n", escape_line(heading));
        for (name, value) in self.0 {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {name:width$}  {value}");
        }
        text
    }
}

pub(super) fn map_report(file: &Path, map: &ClusterMap, warnings: &[String]) -> String {
    let mut lines = Lines::default();
    for (name, entry) in &map.nodes {
        match entry {
            NodeEntry::Address(address) => lines.add(name, address.to_string()),
            NodeEntry::Disabled => lines.add(name, "disabled (false)"),
        }
    }
    for (name, group) in &map.groups {
        match group {
            Some(group) => lines.add(
                name,
                format!("a group of {}, {}", group.members().join(", "), group.policy()),
            ),
            None => lines.add(name, "not a group (false)"),
        }
    }
    if let Some(channels) = map.channels_default {
        lines.add(
            "__channels",
            format!("{} to each node", counted(channels as usize, "channel")),
        );
    }
    for (name, channels) in &map.channels_by_node {
        lines.add(
            &format!("__channels.{name}"),
            format!("{} to {name}", counted(*channels as usize, "channel")),
        );
    }
    let while_down = |when_down: &WhenDown| match when_down {
        WhenDown::Fail => "fail at once",
        WhenDown::Wait => "wait until their deadline",
    };
    if let Some(when_down) = &map.when_down_default {
        let what = while_down(when_down);
        lines.add("__when_down", format!("calls to nodes that are down {what}"));
    }
    for (name, when_down) in &map.when_down_by_node {
        let what = while_down(when_down);
        lines.add(
            &format!("__when_down.{name}"),
            format!("calls to {name} while it is down {what}"),
        );
    }
    let nowaiting = match map.nowaiting {
        Some(true) => "calls to nodes that are not named here fail at once",
        _ => "calls to nodes that are not named here wait for a reload that names them",
    };
    lines.add("__nowaiting", nowaiting);
    let nodes = counted(map.nodes.len(), "node");
    let mut text = lines.into_text(&format!("{}: a cluster map of {nodes}", file.display()));
    for warning in warnings {
        let _ = writeln!(text, "warning: {}", escape_line(warning));
    }
    text
}

/// For whom the certificate is, and for how long; the key is not shown.
fn tls_report(tls: &Tls) -> String {
    let days = tls.days_left().map_or_else(String::new, |days| match days {
        0 => ", for less than a day".to_owned(),
        days => format!(
            ", for {} more",
            counted(usize::try_from(days).unwrap_or(usize::MAX), "day")
        ),
    });
    let names = tls.names().join(", ");
    format!("the certificate is for {names}{days}: only nodes with one from the same CA are served")
}

/// Whom the node talks to; the secrets themselves are not shown.
fn security_report(security: &Security) -> Vec<(&'static str, String)> {
    let mut report = Vec::new();
    match security.secret_count() {
        0 => {}
        1 => report.push((
            "cluster_secret",
            "set: only nodes that prove it are served".to_owned(),
        )),
        count => {
            let text = format!("{count} are set: only nodes that prove one of them are served");
            report.push(("cluster_secret", text));
        }
    }
    if let Some(tls) = security.tls() {
        report.push(("tls", tls_report(tls)));
    }
    let networks: Vec<String> = security
        .skynet_networks()
        .iter()
        .map(ToString::to_string)
        .collect();
    if !networks.is_empty() {
        report.push(("allow_skynet_peers", networks.join(", ")));
    }
    if security.rule_count() > 0 {
        report.push(("allow", counted(security.rule_count(), "service")));
    }
    if !security.is_open_by_default() {
        report.push((
            "allow_default",
            "services without a rule are not for everybody".to_owned(),
        ));
    }
    report
}

pub(super) fn node_report(config: &NodeConfig, map: Option<&ClusterMap>) -> String {
    let mut lines = Lines::default();
    lines.add("thread", counted(config.threads, "shard"));
    lines.add("logger", log_report(config));
    if let Some(folder) = &config.logpath {
        let text = format!("{}: the messages of services after LOGON", folder.display());
        lines.add("logpath", text);
    }
    if config.harbor > 0 {
        lines.add("harbor", format!("{}, which runs alone", config.harbor));
    }
    if let Some(file) = &config.daemon {
        let text = format!("runs in the background; {} has the process id", file.display());
        lines.add("daemon", text);
    }
    if let (Some(file), Some(map)) = (&config.cluster, map) {
        let nodes: Vec<&str> = map.nodes.keys().map(String::as_str).collect();
        lines.add(
            "cluster",
            format!(
                "{}, {}: {}",
                // Without the `./` in its middle that the config's own `./` leaves there.
                file.components().collect::<PathBuf>().display(),
                counted(nodes.len(), "node"),
                nodes.join(", ")
            ),
        );
    }
    if config.discovery.as_ref().is_some_and(|discovery| discovery.watch) {
        lines.add(
            "discovery",
            "the map file is watched, and applied when it changes",
        );
    }
    if let Some(etcd) = config
        .discovery
        .as_ref()
        .and_then(|discovery| discovery.etcd.as_ref())
    {
        let servers: Vec<String> = etcd
            .endpoints
            .iter()
            .map(|server| server.address.to_string())
            .collect();
        let text = format!("etcd at {}, keys {}*", servers.join(", "), etcd.prefix);
        lines.add("discovery", text);
    }
    if let Some(dns) = config
        .discovery
        .as_ref()
        .and_then(|discovery| discovery.dns.as_ref())
    {
        lines.add("discovery", format!("DNS, {} every {} s", dns.name, dns.period_s));
    }
    match (&config.open, map) {
        (Some(name), map) => {
            let own_map = ClusterMap::new();
            let map = map.unwrap_or(&own_map);
            let found = config
                .discovery
                .as_ref()
                .and_then(|discovery| discovery.advertised(name, map));
            let address = found
                .or_else(|| map.nodes.get(name).and_then(NodeEntry::address).cloned())
                .or_else(|| config.discovery.as_ref()?.listen.clone());
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            lines.add("open", format!("as {name} on {address}"));
        }
        _ => lines.add("open", "not set: the node can call others, and is not called"),
    }
    if let Some(security) = &config.security {
        for (name, value) in security_report(security) {
            lines.add(name, value);
        }
    }
    if let Some(admin) = &config.admin {
        let who = match admin.has_token() {
            true => "for those who have the token",
            false => "for everybody on this machine",
        };
        lines.add("admin", format!("http://{}, {who}", admin.address()));
    }
    for (name, service) in &config.services {
        let keyed = if service.keyed { "keyed " } else { "" };
        let kind = format!("{keyed}{} {}", service.kind, service.arguments);
        lines.add(
            &format!("services.{name}"),
            format!("{} as @{name}", kind.trim_end()),
        );
    }
    if let Some(start) = &config.start {
        lines.add("start", start);
    }
    let timeout = match config.call_timeout_ms {
        0 => "0, calls to other nodes have no timeout".to_owned(),
        milliseconds => milliseconds.to_string(),
    };
    lines.add("call_timeout_ms", timeout);
    if config.when_down == WhenDown::Wait {
        lines.add(
            "when_down",
            "calls to nodes that are down wait until their deadline",
        );
    }
    if let Some(runtime) = config.runtime {
        lines.add("runtime", runtime.name());
    }
    if config.spin_us > 0 {
        lines.add("spin_us", config.spin_us.to_string());
    }
    let unused = unused_keys(config);
    if !unused.is_empty() {
        lines.add("not used", unused.join(", "));
    }
    let mut text = lines.into_text(&format!("{}: a node config", config.file.display()));
    for notice in &config.notices {
        let _ = writeln!(text, "warning: {}", escape_line(notice));
    }
    text
}

/// Where log lines go, and what stands in front of them.
fn log_report(config: &NodeConfig) -> String {
    if let Some(service) = &config.log_service {
        let kind = format!("{} {}", service.kind, service.arguments);
        return format!("the service {}", kind.trim_end());
    }
    let place = match &config.logger {
        Some(file) => file.display().to_string(),
        None => "the standard output".to_owned(),
    };
    let time = match config.log_time {
        LogTime::None => "",
        LogTime::Skynet => ", with local time",
        LogTime::Utc => ", with the time in UTC",
    };
    format!("{place}{time}")
}

/// The keys of Skynet that the config sets and that have no effect here, with the reason.
fn unused_keys(config: &NodeConfig) -> Vec<String> {
    let in_harbor = |key| config.harbor > 0 && config.environment.contains_key(key);
    let keys = [
        ("cpath", config.cpath.is_some(), "services in C are not run"),
        ("address", in_harbor("address"), "no other harbor connects"),
        ("master", in_harbor("master"), "there is no other harbor"),
    ];
    let set = keys.into_iter().filter(|(_, is_set, _)| *is_set);
    set.map(|(key, _, reason)| format!("{key} ({reason})")).collect()
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
