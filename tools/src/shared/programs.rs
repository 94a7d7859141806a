//! The processes of this program that it starts itself, and the rate at which it samples processes.

use std::io;

use skyring_bench::Program;

/// The first argument that makes this program the server of a floor.
pub(crate) const FLOOR_SERVER: &str = "floor-server";

/// Samples that a profile takes of each thread per second of its processor time. The number is not round, so that
/// an event with a round frequency is neither always nor never sampled.
pub(crate) const SAMPLES_PER_SECOND: u32 = 499;

/// The program that runs a node as a process which ends with this one.
///
/// # Errors
/// When the path of this program is not known.
pub(crate) fn node_program() -> io::Result<Program> {
    Ok(Program {
        file: std::env::current_exe()?,
        arguments: &["demo", "--node-process"],
    })
}

/// The program that runs a node with the services that only the rig has, as a process which ends with this one.
///
/// # Errors
/// When the path of this program is not known.
pub(crate) fn rig_node_program() -> io::Result<Program> {
    Ok(Program {
        file: std::env::current_exe()?,
        arguments: &["bench", "ledger-node"],
    })
}

/// The program that runs one of many nodes which are connected to each other, as a process which ends with this one.
///
/// # Errors
/// When the path of this program is not known.
pub(crate) fn mesh_node_program() -> io::Result<Program> {
    Ok(Program {
        file: std::env::current_exe()?,
        arguments: &["bench", "mesh-node"],
    })
}
