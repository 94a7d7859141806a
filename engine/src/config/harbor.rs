//! Skynet's harbors: one that runs alone is a node, and one that needs others is refused.

use super::error::{ConfigError, ConfigErrorKind};
use super::evaluate::Value;
use super::keys::Keys;

/// The keys of a harbor that say where it and the others are.
const ADDRESSES: [&str; 2] = ["address", "master"];

/// The number of the harbor, 0 for none, with a line for each key whose effect is not Skynet's.
pub(super) fn read(keys: &Keys<'_>) -> Result<(u8, Vec<String>), ConfigError> {
    let harbor = keys.number::<u8>("harbor", 0..=255, "a whole number from 0 to 255")?;
    let standalone = match keys.entries.get("standalone") {
        Some(Value::Boolean(true)) => Some("true".to_owned()),
        Some(Value::Boolean(false)) => None,
        _ => keys.text("standalone")?,
    };
    let refused = |key, text| {
        Err(ConfigError::of_key(
            keys.path,
            key,
            ConfigErrorKind::Unsupported(text),
        ))
    };
    match (harbor, standalone) {
        (Some(0), Some(_)) => refused(
            "standalone",
            "needs a harbor; set harbor = 1, or remove this key (with harbor = 0 Skynet does not start either)",
        ),
        (Some(1..), None) => refused(
            "harbor",
            "without standalone it needs other harbors, which do not exist here; connect the nodes by the cluster map \
             instead: harbor = 0, cluster = \"FILE\", open = \"NAME\"",
        ),
        (Some(0) | None, None) => {
            let unused = ADDRESSES.iter().filter(|key| keys.entries.contains_key(**key));
            let lines = unused.map(|key| format!("{key} has no effect without a harbor"));
            Ok((0, lines.collect()))
        }
        // Without `harbor` it is 1, as in Skynet.
        (harbor, Some(standalone)) => {
            let harbor = harbor.unwrap_or(1);
            let line = format!(
                "harbor {harbor} runs alone: global names are names of this node, and nothing listens on {standalone} \
                 for other harbors; nodes connect by the cluster map"
            );
            Ok((harbor, vec![line]))
        }
    }
}
