//! The keys that have a meaning, and keys that look like a misspelt one of them.

/// The keys that have a meaning here; any other key is only kept for the services to read. A file that sets one
/// of these to something other than an address or `false` is a node config and not a map.
///
/// Skynet's keys are among them, also those that only its library in Lua reads.
pub(super) const NODE_KEYS: [&str; 56] = [
    "accepts_per_second_max",
    "address",
    "admin",
    "admin_token",
    "admin_token_file",
    "allow",
    "allow_default",
    "allow_skynet_peers",
    "bootstrap",
    "builtin_lualib",
    "call_timeout_ms",
    "certfile",
    "channels",
    "clients_per_source_max",
    "cluster",
    "cluster_secret",
    "cluster_secret_file",
    "cpath",
    "daemon",
    "dialect",
    "discovery",
    "down_after_ms",
    "enablessl",
    "harbor",
    "idle_close_ms",
    "keyfile",
    "log_format",
    "log_levels",
    "log_time",
    "logger",
    "logpath",
    "logservice",
    "lua_cpath",
    "lua_path",
    "lualoader",
    "luaservice",
    "master",
    "open",
    "otlp",
    "preload",
    "profile",
    "runtime",
    "services",
    "slow_call_ms",
    "snax",
    "snax_interface_g",
    "snax_loader",
    "spin_us",
    "standalone",
    "start",
    "stop_timeout_ms",
    "supervision",
    "thread",
    "tls",
    "trace_one_in",
    "when_down",
];

/// The key of the cluster secret itself.
pub(super) const SECRET: &str = "cluster_secret";

/// The key of a file with it.
pub(super) const SECRET_FILE: &str = "cluster_secret_file";

/// The key of the networks with which the skynet dialect is permitted.
pub(super) const SKYNET_PEERS: &str = "allow_skynet_peers";

/// The key of the rules of who may call which service.
pub(super) const ALLOW: &str = "allow";

/// The key of who may call services without a rule.
pub(super) const ALLOW_DEFAULT: &str = "allow_default";

/// The key of the address of metrics and dashboard.
pub(super) const ADMIN: &str = "admin";

/// The key of the token for it.
pub(super) const ADMIN_TOKEN: &str = "admin_token";

/// The key of a file with the token.
pub(super) const ADMIN_TOKEN_FILE: &str = "admin_token_file";

/// The key of the collector of spans.
pub(super) const OTLP: &str = "otlp";

/// The key of the files of the node's certificate.
pub(super) const TLS: &str = "tls";

/// Whether a key is meant to be [`TLS`]: it has the same letters. A key with another letter may be the user's own.
pub(super) fn is_meant_as_tls(key: &str) -> bool {
    let sorted = |key: &str| {
        let mut letters = key.to_ascii_lowercase().into_bytes();
        letters.sort_unstable();
        letters
    };
    key != TLS && sorted(key) == sorted(TLS)
}

/// The keys that close a node. A misspelt one would leave it open, so it is an error and no notice.
pub(super) const SECURITY_KEYS: [&str; 7] = [
    SECRET,
    SECRET_FILE,
    SKYNET_PEERS,
    ALLOW,
    ALLOW_DEFAULT,
    ADMIN_TOKEN,
    ADMIN_TOKEN_FILE,
];

/// The longest key that is compared with the known ones, in bytes.
const COMPARED_BYTES_MAX: usize = 40;

/// The length of a known key from which two slips are one mistake, in bytes; in a shorter one it is a single slip.
const LONG_KEY_BYTES: usize = 8;

/// Endings that tell the unit or the sense of a number, which a writer easily leaves out.
const ENDINGS: [&str; 3] = ["_ms", "_us", "_max"];

/// The known key that an unknown one is probably meant to be: the same but for capitals or for the unit at its end,
/// or a letter or two wrong, missing, superfluous or exchanged.
pub(super) fn misspelt(key: &str) -> Option<&'static str> {
    if NODE_KEYS.contains(&key) || key.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let stem = stem(key).to_ascii_lowercase();
    let distances = NODE_KEYS.iter().map(|known| {
        let distance = distance(key, known).min(distance(&stem, self::stem(known)));
        (distance, *known)
    });
    let near = distances.filter(|(distance, known)| {
        let slips = if known.len() < LONG_KEY_BYTES { 1 } else { 2 };
        *distance <= slips
    });
    near.min().map(|(_, known)| known)
}

/// A key without its unit.
fn stem(key: &str) -> &str {
    ENDINGS
        .iter()
        .find_map(|ending| key.strip_suffix(ending))
        .unwrap_or(key)
}

/// How many letters must be added, left out, replaced, or exchanged with their neighbour to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != against);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            let exchanged = row > 0 && column > 0 && one[row - 1] == *against && *letter == other[column - 1];
            if exchanged {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_key_of_another_name_is_not() {
        for (key, known) in [
            ("cluster_secert", "cluster_secret"),
            ("call_timeout", "call_timeout_ms"),
            ("call_timeout_s", "call_timeout_ms"),
            ("Thread", "thread"),
            ("threads", "thread"),
            ("tread", "thread"),
            ("thraed", "thread"),
            ("log_path", "logpath"),
            ("harbour", "harbor"),
            ("lua_services", "luaservice"),
            ("accepts_per_second", "accepts_per_second_max"),
            ("deamon", "daemon"),
            ("snax_interface", "snax_interface_g"),
        ] {
            assert_eq!(misspelt(key), Some(known), "{key}");
        }
        for key in [
            "root",
            "port",
            "name",
            "loader",
            "mqueue",
            "nodename",
            "gate",
            "db",
            "x",
            "",
            "thread",
            "服务",
            "servers",
            "clusters_of_the_game",
            "state",
        ] {
            let found = misspelt(key);
            assert_eq!(found, None, "{key}");
        }
        assert_eq!(misspelt(&"thread".repeat(100_000)), None);
    }

    #[test]
    fn the_distance_counts_each_kind_of_slip_once() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "abd", 1),
            ("abc", "ab", 1),
            ("abc", "xabc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
