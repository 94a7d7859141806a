//! What several commands share: output and exit codes, values, node configs, cluster maps, files and programs.
//!
//! Invariant: nothing here knows a command.

pub(crate) mod cluster_map;
pub(crate) mod node_config;
pub(crate) mod output;
pub(crate) mod output_file;
pub(crate) mod programs;
pub(crate) mod runtime;
pub(crate) mod status_line;
pub(crate) mod temporary_node;
pub(crate) mod values;
