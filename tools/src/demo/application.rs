//! The gate's application: it uses the database, and its backup while the database is gone.
//!
//! It calls a group of the two, ten times a second, and the engine does the rest: it notices that the database is
//! gone, sends the calls to the backup, and comes back. The application only says what it is told of that. This is
//! all a gateway needs to survive the loss of a node.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skyring::config::{ConfigError, Group, Policy};
use skyring::{Caller, ClusterMap, Error, NodeChange, NodeRef};

use super::nodes::{BACKUP, DB, SERVICE};

/// The name that stands for both.
const DATABASE: &str = "database";

/// Said when the first call was answered.
pub(super) const USES: &str = "Using the DB node";

/// Said when the group leaves the database.
pub(super) const UNREACHABLE: &str = "DB node unreachable!";

/// Said next.
pub(super) const SWITCH: &str = "Switch to backup node";

/// Said when the backup has answered [`CALLS_TOLD`] calls.
pub(super) const BACKUP_ANSWERS: &str = "Backup node answers";

/// Said when the group is back at the database.
pub(super) const REACHED_AGAIN: &str = "DB node reached again";

/// Calls to the backup after which it is said that they go on.
const CALLS_TOLD: u32 = 3;

/// Pause between two calls.
const CALL_PAUSE: Duration = Duration::from_millis(100);

/// How long a call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs until `stop` is set.
pub(super) async fn run(caller: Caller, stop: Arc<AtomicBool>) {
    match group() {
        Ok(map) => caller.cluster().reload(map),
        Err(error) => return caller.log(error),
    }
    // Calls that the backup answered since the switch; `None` while the database is there.
    let switched = Rc::new(Cell::new(None));
    caller.spawn(tell_switches(caller.clone(), Rc::clone(&switched)));
    let database = caller.node(DATABASE);
    let (mut number, mut told) = (0, false);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        match (count(&database, number).await, switched.get()) {
            (Ok(_), None) if told => {}
            (Ok(_), None) => {
                caller.log(USES);
                told = true;
            }
            (Ok(text), Some(calls)) => {
                switched.set(Some(calls + 1));
                if calls + 1 == CALLS_TOLD {
                    caller.log(format!("{BACKUP_ANSWERS}: {text}"));
                }
            }
            (Err(error), _) => caller.log(format!("A call failed: {error}")),
        }
        caller.sleep(CALL_PAUSE).await;
    }
}

/// The database and its backup behind one name, the first that is up.
fn group() -> Result<ClusterMap, ConfigError> {
    ClusterMap::new().with_group(DATABASE, Group::new(Policy::Failover, [DB, BACKUP])?)
}

/// Says when the calls go elsewhere. Ends with the service.
async fn tell_switches(caller: Caller, switched: Rc<Cell<Option<u32>>>) {
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
async fn count(node: &NodeRef, number: u32) -> Result<String, Error> {
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
