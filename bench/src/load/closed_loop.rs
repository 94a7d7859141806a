//! The closed loop: callers that always have one call in flight each.

use std::rc::Rc;

use quanta::Instant;
use skyring::Caller;

use super::shard_load::{ERROR_PAUSE, ShardLoad};

pub(super) fn start(caller: &Caller, shard_load: &Rc<ShardLoad>, callers: usize) {
    for number in 0..callers {
        shard_load.caller_begins();
        caller.spawn(call_repeatedly(
            caller.clone(),
            number as u64,
            Rc::clone(shard_load),
        ));
    }
}

async fn call_repeatedly(caller: Caller, number: u64, shard_load: Rc<ShardLoad>) {
    let node = shard_load.node(number);
    let mut begun = Instant::now();
    while !shard_load.is_over() {
        let result = shard_load.call(&node).await;
        let ended = Instant::now();
        match result {
            Ok(_) => {
                shard_load.answered();
                shard_load.record_latency(ended - begun);
                // The next call begins now; reading the clock again would return the same.
                begun = ended;
            }
            Err(error) => {
                shard_load.failed(&error);
                caller.sleep(ERROR_PAUSE).await;
                begun = Instant::now();
            }
        }
    }
    shard_load.caller_ends();
}
