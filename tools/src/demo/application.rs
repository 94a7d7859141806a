//! The gate's application: it uses the database, and its backup while the database is gone.
//!
//! Ten times a second it pings the database. When that fails it says so and switches; every call from then
//! on goes to the backup, until a ping is answered again. Nobody tells it anything: this is all a gateway
//! needs to survive the loss of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skyring::{Caller, Error, NodeRef};

use super::{BACKUP, DB, SERVICE};

/// Said when the first ping was answered.
pub(super) const USES: &str = "Using the DB node";

/// Said when a ping fails, with its cause.
pub(super) const UNREACHABLE: &str = "DB node unreachable!";

/// Said next.
pub(super) const SWITCH: &str = "Switch to backup node";

/// Said when the backup has answered [`CALLS_TOLD`] calls.
pub(super) const BACKUP_ANSWERS: &str = "Backup node answers";

/// Said when a ping is answered again.
pub(super) const REACHED_AGAIN: &str = "DB node reached again";

/// Calls to the backup after which it is said that they go on.
const CALLS_TOLD: u32 = 3;

/// Pause between two pings.
const PING_PAUSE: Duration = Duration::from_millis(100);

/// How long a ping may take.
const PING_TIME_MAX: Duration = Duration::from_millis(300);

/// How long a call to the backup may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs until `stop` is set.
pub(super) async fn run(caller: Caller, stop: Arc<AtomicBool>) {
    let (db, backup) = (caller.node(DB), caller.node(BACKUP));
    // Calls that the backup answered since the switch; `None` while the database is there.
    let mut switched: Option<u32> = None;
    let mut told = false;
    while !stop.load(Ordering::Relaxed) {
        let ping = db.call(SERVICE, &"PING").timeout(PING_TIME_MAX).await;
        match (ping, switched) {
            (Ok(_), None) if told => {}
            (Ok(_), None) => {
                caller.log(USES);
                told = true;
            }
            (Err(_), Some(_)) => {}
            (Err(error), None) => {
                caller.log(format!("{UNREACHABLE} ({error})"));
                caller.log(SWITCH);
                switched = Some(0);
            }
            (Ok(_), Some(calls)) => {
                caller.log(format!(
                    "{REACHED_AGAIN}; meanwhile {BACKUP} answered {calls} calls"
                ));
                switched = None;
            }
        }
        if let Some(calls) = &mut switched {
            match count(&backup, *calls + 1).await {
                Ok(text) => {
                    *calls += 1;
                    if *calls == CALLS_TOLD {
                        caller.log(format!("{BACKUP_ANSWERS}: {text}"));
                    }
                }
                Err(error) => caller.log(format!("Backup node fails: {error}")),
            }
        }
        caller.sleep(PING_PAUSE).await;
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
