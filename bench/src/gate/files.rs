//! The limit of open files, which also limits the clients of one program.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::plan::GateError;
use crate::ring::sockets::SOCKETS_MAX;

/// Descriptors of this program, however many clients it has: a client has one only while it connects.
const FILES: u64 = 256;

/// Raises the limit of open files of this process, and of those that it starts, as far as the system allows.
/// `further_files` are descriptors that something else than the clients needs.
///
/// # Errors
/// [`GateError::Clients`] or [`GateError::Files`] when there cannot be as many clients.
pub(super) fn allow_clients(clients: usize, further_files: u64) -> Result<(), GateError> {
    let limit = getrlimit(Resource::Nofile);
    // Where a gate's clients need descriptors, a node has at most seven eighths of its files for them.
    let wished = (clients as u64 + FILES + further_files) * 8 / 7;
    let higher = limit.maximum.map(|maximum| maximum.max(wished));
    for most in [higher, limit.maximum] {
        let raised = Rlimit {
            current: most,
            maximum: most,
        };
        // What is allowed after it counts.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    check(clients, further_files, getrlimit(Resource::Nofile).current)
}

/// Whether there can be as many clients with this limit of open files.
fn check(clients: usize, further_files: u64, allowed: Option<u64>) -> Result<(), GateError> {
    if clients > SOCKETS_MAX {
        return Err(GateError::Clients {
            wanted: clients,
            most: SOCKETS_MAX,
        });
    }
    // A ring has no more places for direct descriptors than its process may open files, although they are none.
    let wanted = (clients as u64).max(FILES + further_files);
    match allowed {
        Some(allowed) if allowed < wanted => Err(GateError::Files {
            clients,
            wanted,
            allowed,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_can_be_as_many_clients_as_open_files() {
        check(20_000, 0, Some(20_000)).unwrap();
        check(20_000, 2_000, Some(20_000)).unwrap();
        check(SOCKETS_MAX, 0, None).unwrap();
        // The limit is raised when it has to be, and never lowered.
        let before = getrlimit(Resource::Nofile);
        allow_clients(1, 0).unwrap();
        let after = getrlimit(Resource::Nofile);
        assert!(after.current >= before.current && after.maximum >= before.maximum);
    }

    #[test]
    fn more_clients_than_there_can_be_are_an_error_that_says_what_to_do() {
        let error = check(20_001, 0, Some(20_000)).unwrap_err().to_string();
        assert_eq!(
            error,
            "20001 clients need a limit of 20001 open files in each process, and the hard limit here is 20000: raise it \
             with ulimit -Hn, or ask for fewer --clients"
        );
        let error = check(1, 2_000, Some(1_024)).unwrap_err().to_string();
        assert!(error.contains("need a limit of 2256 open files"), "{error}");
        let error = check(SOCKETS_MAX + 1, 0, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "60001 clients are asked for, and one program has at most 60000: ask for fewer --clients, or start several \
             programs with the same --target"
        );
    }
}
