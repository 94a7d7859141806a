//! Supervision under load, and what many restarts leave behind.
//!
//! `supervision load [SECONDS] [CALLS_PER_SECOND]`, by default 60 and 10,000: a service that panics once a second, called all
//! the time from every shard; half of its calls it answers later. Every call must be answered or fail, and say truly
//! whether it may have run.
//!
//! `supervision escalation [CALLS_PER_SECOND]`: the same for 8 s with an intensity of 3 restarts, which must escalate.
//!
//! `supervision restarts [COUNT]`, by default 100,000: a service with two names and a sleeping task exits that often; the
//! services, names, waiters, tasks and the memory of the process before and after.
//!
//! It fails when a promise is broken.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{
    Answer, Backoff, Caller, Child, Context, Error, Message, Node, Payload, Service, Strategy, Supervisor,
};

/// Callers of the load, each of which calls once every few milliseconds.
const CALLERS: u64 = 50;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

/// Panics once a second, at the first call after it.
struct Fragile {
    ran: Arc<AtomicU64>,
    panics_at: Instant,
}

impl Service for Fragile {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        self.ran.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= self.panics_at {
            panic!("once a second");
        }
        match message.unpack::<u64>() {
            Ok(number) if number % 2 == 0 => Answer::now(&number),
            Ok(number) => {
                let context = context.clone();
                Answer::later(async move {
                    context.sleep(Duration::from_millis(1)).await;
                    Payload::pack(&number)
                })
            }
            Err(error) => Answer::error(error),
        }
    }
}

/// The outcomes of calls.
#[derive(Default)]
struct Ledger {
    called: u64,
    answered: u64,
    /// By code, and by whether they may have run.
    failed: BTreeMap<(String, bool), u64>,
    longest: Duration,
}

impl Ledger {
    fn add(&mut self, outcome: Result<u64, Error>, number: u64, elapsed: Duration) {
        self.longest = self.longest.max(elapsed);
        match outcome {
            Ok(answer) if answer == number => self.answered += 1,
            Ok(_) => *self.failed.entry(("wrong answer".to_owned(), true)).or_default() += 1,
            Err(error) => {
                let key = (error.code().to_owned(), error.may_have_run());
                *self.failed.entry(key).or_default() += 1;
            }
        }
    }

    /// What is wrong with the calls, of which the service has run `ran`.
    fn check(&self, ran: u64) -> Vec<String> {
        let failed: u64 = self.failed.values().sum();
        let may_have_run: u64 = self
            .failed
            .iter()
            .filter(|(key, _)| key.1)
            .map(|(_, count)| count)
            .sum();
        let mut wrong = Vec::new();
        if self.answered + failed != self.called {
            wrong.push(format!(
                "{} calls have no outcome",
                self.called - self.answered - failed
            ));
        }
        if ran < self.answered || ran > self.answered + may_have_run {
            wrong.push(format!(
                "{ran} calls ran, {} were answered, and {may_have_run} others may have run",
                self.answered
            ));
        }
        let codes = ["restarted", "remote", "no-such-service"];
        let others = self.failed.keys().filter(|key| !codes.contains(&key.0.as_str()));
        wrong.extend(others.map(|key| format!("calls failed with {}", key.0)));
        wrong
    }
}

async fn call_all_the_time(
    caller: Caller,
    first: u64,
    period: Duration,
    until: Instant,
    ledger: Arc<Mutex<Ledger>>,
) {
    let mut interval = caller.interval(period);
    let mut number = first;
    while Instant::now() < until {
        for _ in 0..interval.tick().await + 1 {
            let (caller_of_call, ledger) = (caller.clone(), Arc::clone(&ledger));
            ledger.lock().unwrap_or_else(PoisonError::into_inner).called += 1;
            caller.spawn(async move {
                let begun = Instant::now();
                let called = caller_of_call.call(".fragile", &number).timeout(TIMEOUT).await;
                let outcome = called.and_then(|payload| payload.unpack());
                let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.add(outcome, number, begun.elapsed());
            });
            number += CALLERS;
        }
    }
    // The last calls end.
    while !is_complete(&ledger) {
        caller.sleep(Duration::from_millis(5)).await;
    }
}

/// Whether every call has an outcome.
fn is_complete(ledger: &Mutex<Ledger>) -> bool {
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.called == ledger.answered + ledger.failed.values().sum::<u64>()
}

fn start() -> Result<Node, Failure> {
    let log = Destination::File("/dev/null".into());
    Ok(Node::builder().threads(2).log_to(log).start()?)
}

/// One run of the load; returns what is wrong.
fn load(seconds: u64, rate: u64, restarts: usize) -> Result<Vec<String>, Failure> {
    let node = start()?;
    let ran = Arc::new(AtomicU64::new(0));
    let ran_by_service = Arc::clone(&ran);
    node.block_on(move |caller| async move {
        let make = move |_: &Context<Fragile>| Fragile {
            ran: Arc::clone(&ran_by_service),
            panics_at: Instant::now() + Duration::from_secs(1),
        };
        let child = Child::new("fragile", make).name(".fragile").backoff(Backoff::new(
            Duration::from_millis(20),
            Duration::from_millis(100),
        ));
        let supervisor = Supervisor::new("load", Strategy::OneForOne)
            .intensity(restarts, Duration::from_secs(3_600))
            .child(child);
        caller.supervise(supervisor).await
    })??;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let until = Instant::now() + Duration::from_secs(seconds);
    let period = Duration::from_millis((CALLERS * 1_000 / rate).max(1));
    let mut running = Vec::new();
    for first in 0..CALLERS {
        let ledger = Arc::clone(&ledger);
        running.push(node.run(move |caller| call_all_the_time(caller, first, period, until, ledger))?);
    }
    for caller in running {
        caller.recv()?;
    }
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let ran = ran.load(Ordering::Relaxed);
    println!(
        "{} calls in {seconds} s: {} answered, {ran} ran, the longest took {:?}",
        ledger.called, ledger.answered, ledger.longest
    );
    for ((code, may_have_run), count) in &ledger.failed {
        let may = if *may_have_run {
            "may have run"
        } else {
            "has not run"
        };
        println!("  {count} failed: {code}, {may}");
    }
    println!("  {}", node.metrics());
    let mut wrong = ledger.check(ran);
    let restarted = node.metrics().restarts_after_panic.get();
    if node.metrics().panics.get() != restarted + node.metrics().escalations.get() {
        wrong.push(format!(
            "{restarted} restarts after {} panics",
            node.metrics().panics.get()
        ));
    }
    let expected = u64::from(seconds > restarts as u64 + 1);
    if node.metrics().escalations.get() != expected {
        wrong.push(format!("{} escalations", node.metrics().escalations.get()));
    }
    drop(ledger);
    node.stop();
    Ok(wrong)
}

/// Exits on command, and leaves a sleeping task each time.
struct Mortal;

impl Service for Mortal {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let sleeping = context.clone();
        context.spawn(async move { sleeping.sleep(Duration::from_secs(3_600)).await });
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.unpack::<bool>() == Ok(true) {
            context.exit();
        }
        Answer::now(&true)
    }
}

/// Services, names, tasks, waiters, and resident memory in KiB.
async fn count(caller: &Caller) -> Result<(usize, usize, usize, usize, u64), Error> {
    let services = caller.services().await?;
    let names = services.iter().map(|service| service.names.len()).sum();
    let tasks = services.iter().map(|service| service.tasks).sum();
    let memory = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    Ok((services.len(), names, tasks, caller.waiting(), pages * 4))
}

fn restarts(times: usize) -> Result<Vec<String>, Failure> {
    let node = start()?;
    let (before, after) = node.block_on(move |caller| async move {
        let now = Backoff::new(Duration::ZERO, Duration::ZERO);
        let supervisor = Supervisor::new("restarts", Strategy::OneForOne)
            .intensity(times, Duration::from_secs(3_600))
            .child(
                Child::new("mortal", |_| Mortal)
                    .name(".mortal")
                    .name("@mortal")
                    .backoff(now),
            );
        caller.supervise(supervisor).await?;
        let mut before = count(&caller).await?;
        for round in 0..times {
            if round == times / 10 {
                // Memory grows to its level within the first restarts.
                before = count(&caller).await?;
            }
            caller.call(".mortal", &true).await?;
            while let Err(error) = caller.call("@mortal", &false).await {
                if error.code() != "restarted" {
                    return Err(error);
                }
                caller.sleep(Duration::from_micros(100)).await;
            }
        }
        caller.sleep(Duration::from_millis(50)).await;
        Ok((before, count(&caller).await?))
    })??;
    let restarted = node.metrics().restarts_after_exit.get();
    println!("{restarted} restarts; services, names, tasks, waiters, KiB:");
    println!("  after a tenth {before:?}\n  at the end    {after:?}");
    let mut wrong = Vec::new();
    if restarted != times as u64 {
        wrong.push(format!("{restarted} restarts instead of {times}"));
    }
    if (before.0, before.1, before.2, before.3) != (after.0, after.1, after.2, after.3) {
        wrong.push("something was left behind".to_owned());
    }
    if after.4 > before.4 + 4_096 {
        wrong.push(format!("{} KiB more memory", after.4 - before.4));
    }
    node.stop();
    Ok(wrong)
}

fn run() -> Result<Vec<String>, Failure> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let numbers: Vec<u64> = arguments
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default).max(1);
    match what.as_str() {
        "load" => {
            let (seconds, rate) = (number(0, 60), number(1, 10_000));
            load(seconds, rate, 100_000)
        }
        "escalation" => load(8, number(0, 10_000), 3),
        "restarts" => restarts(number(0, 100_000) as usize),
        _ => {
            Err("usage: supervision load [SECONDS] [CALLS_PER_SECOND] | escalation [CALLS_PER_SECOND] | restarts [COUNT]".into())
        }
    }
}

fn main() -> ExitCode {
    // The panics are meant; their texts would hide the results.
    std::panic::set_hook(Box::new(|_| {}));
    match run() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            println!("broken promises: {}", wrong.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}
