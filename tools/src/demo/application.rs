//! The application of the gate: it uses the database, and its backup while the database is down.
//!
//! It calls a group of the two, ten times a second. The engine detects that the database is down, sends the calls to
//! the backup, and returns to the database when it is up; the application only logs these events. A gateway needs no
//! more code to survive the failure of a node.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skyring::config::{ConfigError, Group, Policy};
use skyring::{Caller, ClusterMap, Error, NodeChange, NodeRef};

use super::nodes::{BACKUP, DB, SERVICE};

/// The group of both.
const DATABASE: &str = "database";

/// Logged when the first call is answered.
pub(super) const USES: &str = "Using the DB node";

/// Logged when the group switches to the backup.
pub(super) const UNREACHABLE: &str = "DB node unreachable!";

/// Logged next.
pub(super) const SWITCH: &str = "Switch to backup node";

/// Logged when the backup has answered [`BACKUP_CALLS`] calls.
pub(super) const BACKUP_ANSWERS: &str = "Backup node answers";

/// Logged when the group returns to the database.
pub(super) const REACHED_AGAIN: &str = "DB node reached again";

/// Answered calls of the backup after which the application logs that it answers.
const BACKUP_CALLS: u32 = 3;

/// Time between two calls.
const CALL_PAUSE: Duration = Duration::from_millis(100);

/// Timeout of a call.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs until `stop` is set.
pub(super) async fn run(caller: Caller, stop: Arc<AtomicBool>) {
    match group() {
        Ok(map) => caller.cluster().reload(map),
        Err(error) => return caller.log(error),
    }
    // Calls that the backup has answered since the switch; `None` while the database is up.
    let switched = Rc::new(Cell::new(None));
    caller.spawn(log_switches(caller.clone(), Rc::clone(&switched)));
    let database = caller.node(DATABASE);
    let (mut number, mut is_logged) = (0, false);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        match (write_and_read(&database, number).await, switched.get()) {
            (Ok(_), None) if is_logged => {}
            (Ok(_), None) => {
                caller.log(USES);
                is_logged = true;
            }
            (Ok(text), Some(calls)) => {
                switched.set(Some(calls + 1));
                if calls + 1 == BACKUP_CALLS {
                    caller.log(format!("{BACKUP_ANSWERS}: {text}"));
                }
            }
            (Err(error), _) => caller.log(format!("A call failed: {error}")),
        }
        caller.sleep(CALL_PAUSE).await;
    }
}

/// The group of the database and its backup: calls go to the first that is up.
fn group() -> Result<ClusterMap, ConfigError> {
    ClusterMap::new().with_group(DATABASE, Group::new(Policy::Failover, [DB, BACKUP])?)
}

/// Logs when the group switches. Ends with the service.
async fn log_switches(caller: Caller, switched: Rc<Cell<Option<u32>>>) {
    let mut monitor = match caller.cluster().monitor(DATABASE) {
        Ok(monitor) => monitor,
        Err(error) => return caller.log(error),
    };
    loop {
        let event = monitor.next().await;
        if event.change != NodeChange::Switched {
            continue;
        }
        if *event.cause == *BACKUP {
            let state = caller.cluster().state(DB);
            caller.log(format!("{UNREACHABLE} (it is {})", state.name()));
            caller.log(SWITCH);
            switched.set(Some(0));
        } else if let Some(calls) = switched.take() {
            caller.log(format!(
                "{REACHED_AGAIN}; meanwhile {BACKUP} answered {calls} calls"
            ));
        }
    }
}

/// Writes a number and reads it back.
async fn write_and_read(node: &NodeRef, number: u32) -> Result<String, Error> {
    node.call(SERVICE, &("SET", "calls", number))
        .timeout(CALL_TIME_MAX)
        .await?;
    let reply = node
        .call(SERVICE, &("GET", "calls"))
        .timeout(CALL_TIME_MAX)
        .await?;
    let read = reply.unpack::<u32>()?;
    if read != number {
        return Err(Error::remote(format!(
            "GET calls gave {read} after SET calls {number}"
        )));
    }
    Ok(format!("SET calls {number}, GET calls gave {read}"))
}
