//! A service that a config names.

/// The longest name of a service, in bytes.
pub const SERVICE_NAME_BYTES_MAX: usize = 255;

/// A service the node starts, from the `services` table of its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// What kind of service it is: the first word of the value.
    pub kind: String,
    /// The rest of the value, without the space before it; empty if there is none.
    pub arguments: String,
    /// Whether the word `keyed` stands before the kind: one instance on each shard, and a message goes to that
    /// of its key.
    pub keyed: bool,
}
