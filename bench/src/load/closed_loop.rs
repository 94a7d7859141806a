//! The closed loop: callers that always have one call in flight each.

use std::rc::Rc;

use quanta::Instant;
use skyring::Caller;

use super::callee::Callee;
use super::shard_load::{ERROR_PAUSE, ShardLoad};

pub(super) fn start<C: Callee>(caller: &Caller, shard_load: &Rc<ShardLoad<C>>, callers: usize) {
    for number in 0..callers {
        shard_load.caller_begins();
        caller.spawn(call_repeatedly(caller.clone(), number, Rc::clone(shard_load)));
    }
}

async fn call_repeatedly<C: Callee>(caller: Caller, number: usize, shard_load: Rc<ShardLoad<C>>) {
    let path = shard_load.callee().path(number as u64, number);
    let mut begun = Instant::now();
    while !shard_load.is_over() {
        let result = shard_load.callee().call(&path).await;
        let ended = Instant::now();
        match result {
            Ok(()) => {
                shard_load.answered();
                shard_load.record_latency(ended - begun);
                let pause = shard_load.callee().ended(&path, Ok(ended - begun));
                // The next call begins now; reading the clock again would return the same.
                begun = ended;
                if !pause.is_zero() {
                    caller.sleep(pause).await;
                    begun = Instant::now();
                }
            }
            Err(code) => {
                shard_load.failed(code);
                let pause = shard_load.callee().ended(&path, Err(code));
                caller.sleep(pause.max(ERROR_PAUSE)).await;
                begun = Instant::now();
            }
        }
    }
    shard_load.caller_ends();
}
