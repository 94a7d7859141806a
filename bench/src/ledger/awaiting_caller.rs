//! A caller that awaits each call before it makes the next, and then makes those that became due meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quanta::Instant;
use skyring::Caller;

use super::caller_settings::{BURST_MAX, CallerSettings, TICK};
use super::calls::{Numbers, Schedule};

/// Makes calls until the ledger ends.
pub(super) async fn await_calls(caller: Caller, number: u32, settings: CallerSettings) {
    let reports = Arc::clone(&settings.reports);
    let node = caller.node(settings.node.as_str()).when_down(settings.when_down);
    let mut schedule = Schedule::new(settings.rate);
    let mut numbers = Numbers::new(number, settings);
    let mut new = Vec::new();
    while !reports.over.load(Ordering::Acquire) {
        if schedule.due() == 0 {
            reports.add(&mut new);
            caller.sleep(TICK).await;
            continue;
        }
        schedule.passed += 1;
        let (number, payload) = numbers.next();
        let begun = Instant::now();
        let settings = &numbers.settings;
        let call = node
            .call_payload(settings.address.clone(), payload)
            .timeout(settings.timeout);
        let result = match settings.is_idempotent {
            true => call.idempotent().await,
            false => call.await,
        };
        new.push(numbers.report(number, &result, begun));
        if result.is_err() || new.len() >= BURST_MAX as usize {
            reports.add(&mut new);
            // Immediate errors must not become a busy loop.
            if result.is_err() {
                caller.sleep(Duration::from_millis(1)).await;
            }
        }
    }
    reports.add(&mut new);
    reports.working.fetch_sub(1, Ordering::AcqRel);
}
