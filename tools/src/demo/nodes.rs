//! The names of the nodes and of their service.

/// The database node.
pub(super) const DB: &str = "db";

/// The backup of the database.
pub(super) const BACKUP: &str = "db_backup";

/// The node that calls both.
pub(super) const GATE: &str = "gate";

/// The service of both databases.
pub(super) const SERVICE: &str = "@sdb";
