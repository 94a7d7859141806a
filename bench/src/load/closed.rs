//! The closed loop: callers that each have one call in flight, again and again.

use std::rc::Rc;

use quanta::Instant;
use skyring::Caller;

use super::ERROR_PAUSE;
use super::work::Work;

pub(super) fn start(caller: &Caller, work: &Rc<Work>, callers: usize) {
    for number in 0..callers {
        work.caller_begins();
        caller.spawn(call_again_and_again(
            caller.clone(),
            number as u64,
            Rc::clone(work),
        ));
    }
}

async fn call_again_and_again(caller: Caller, number: u64, work: Rc<Work>) {
    let node = work.node(number);
    let mut begun = Instant::now();
    while !work.is_over() {
        let result = work.call(&node).await;
        let ended = Instant::now();
        match result {
            Ok(_) => {
                work.answered();
                work.took(ended - begun);
                // The next call begins now; looking at the clock again would only say so.
                begun = ended;
            }
            Err(error) => {
                work.failed(&error);
                caller.sleep(ERROR_PAUSE).await;
                begun = Instant::now();
            }
        }
    }
    work.caller_ends();
}
