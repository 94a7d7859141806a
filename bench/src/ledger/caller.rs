//! The callers of the ledger: services that make numbered calls at a rate, and write down what they are told.
//!
//! There are two sorts, because calls go two ways through the engine. One posts its calls whenever they are
//! due, however many are under way; the other awaits each before it makes the next, and then makes up for
//! what it has missed.
//!
//! Invariants: a caller's numbers count up from 1 in the order of its calls; calls under way are bounded.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quanta::Instant;
use skyring::placement::hash_number;
use skyring::{Address, Answer, Caller, Context, Error, Message, NodeRef, Payload, Service};

use super::check::Fate;

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(4);

/// Most calls that one caller has under way. Past them it makes none, and those that were due are not made up for.
const UNDER_WAY_MAX: usize = 4_096;

/// Calls that one caller makes in a row before it lets others go on.
const BURST_MAX: u64 = 512;

/// The session of the tick; sessions of calls begin after it.
const TICK_SESSION: u32 = 1;

/// What a caller was told of one call.
pub(super) struct Told {
    pub(super) caller: u32,
    pub(super) number: u64,
    pub(super) fate: Fate,
    /// The code of the error, if it was one.
    pub(super) code: Option<&'static str>,
    /// The answer was another call's.
    pub(super) is_mixed_up: bool,
    pub(super) begun: Instant,
    pub(super) latency: Duration,
}

/// What all callers and the comparison share.
pub(super) struct Accounts {
    told: Mutex<Vec<Told>>,
    /// The callers make no more calls.
    pub(super) over: AtomicBool,
    /// Callers that have a call under way or may make one.
    pub(super) working: AtomicUsize,
    /// The number of each caller's last call.
    pub(super) issued: Box<[AtomicU64]>,
    /// Calls that were due and not made, because too many were under way.
    pub(super) held_back: AtomicU64,
}

impl Accounts {
    pub(super) fn new(callers: usize) -> Accounts {
        Accounts {
            told: Mutex::default(),
            over: AtomicBool::new(false),
            working: AtomicUsize::new(callers),
            issued: (0..callers).map(|_| AtomicU64::new(0)).collect(),
            held_back: AtomicU64::new(0),
        }
    }

    /// What was told since the last time.
    pub(super) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, told: &mut Vec<Told>) {
        if !told.is_empty() {
            self.told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(told);
        }
    }
}

/// What every caller knows.
#[derive(Clone)]
pub(super) struct Orders {
    pub(super) node: String,
    pub(super) address: Address,
    pub(super) timeout: Duration,
    /// Calls a second of each caller.
    pub(super) rate: f64,
    /// The most bytes that a call carries beside its numbers.
    pub(super) size_max: usize,
    pub(super) is_idempotent: bool,
    pub(super) accounts: Arc<Accounts>,
}

/// When the calls of one caller are due.
struct Schedule {
    begun: Instant,
    rate: f64,
    /// Calls that were made or given up.
    passed: u64,
}

impl Schedule {
    fn new(rate: f64) -> Schedule {
        Schedule {
            begun: Instant::now(),
            rate,
            passed: 0,
        }
    }

    /// Calls that are due now.
    fn due(&self) -> u64 {
        let all = self.begun.elapsed().as_secs_f64() * self.rate;
        (all as u64).saturating_sub(self.passed)
    }
}

/// The numbers of one caller.
struct Numbers {
    caller: u32,
    last: u64,
    orders: Orders,
}

impl Numbers {
    /// The next call's number and payload.
    fn next(&mut self) -> (u64, Result<Payload, Error>) {
        self.last += 1;
        if let Some(issued) = self.orders.accounts.issued.get(self.caller as usize) {
            issued.store(self.last, Ordering::Release);
        }
        // Most are small, and some have any length up to the most, so that copies, chains and parts alternate.
        let random = hash_number((u64::from(self.caller) << 40) ^ self.last);
        let size = match random % 8 {
            0 => (random >> 8) as usize % (self.orders.size_max + 1),
            _ => (random >> 8) as usize % (self.orders.size_max.min(64) + 1),
        };
        let filling = Filling(size);
        (
            self.last,
            Payload::pack(&(self.caller, self.last, filling.text())),
        )
    }

    /// What was told of a call.
    fn told(&self, number: u64, result: &Result<Payload, Error>, begun: Instant) -> Told {
        let (fate, code, is_mixed_up) = match result {
            Ok(payload) => (Fate::Answered, None, payload.unpack::<u64>() != Ok(number)),
            Err(error) if error.may_have_run() => (Fate::MayHaveRun, Some(error.code()), false),
            Err(error) => (Fate::NotRun, Some(error.code()), false),
        };
        Told {
            caller: self.caller,
            number,
            fate,
            code,
            is_mixed_up,
            begun,
            latency: begun.elapsed(),
        }
    }
}

/// So many bytes that say nothing.
struct Filling(usize);

impl Filling {
    fn text(&self) -> String {
        "x".repeat(self.0)
    }
}

/// A call under way: its number, and when it began.
type UnderWay = (u64, Instant);

/// A caller that posts.
pub(super) struct PostingCaller {
    numbers: Numbers,
    schedule: Schedule,
    node: Option<NodeRef>,
    /// By session less the first one of calls.
    under_way: Vec<Option<UnderWay>>,
    free: Vec<u32>,
    told: Vec<Told>,
    is_done: bool,
}

impl PostingCaller {
    pub(super) fn new(caller: u32, orders: Orders) -> PostingCaller {
        PostingCaller {
            schedule: Schedule::new(orders.rate),
            numbers: Numbers {
                caller,
                last: 0,
                orders,
            },
            node: None,
            under_way: Vec::new(),
            free: Vec::new(),
            told: Vec::new(),
            is_done: false,
        }
    }

    fn tick(&mut self, context: &Context<Self>) {
        let accounts = Arc::clone(&self.numbers.orders.accounts);
        if !accounts.over.load(Ordering::Acquire) {
            let due = self.schedule.due();
            self.schedule.passed += due;
            let room = (UNDER_WAY_MAX - self.calls_under_way()) as u64;
            let made = due.min(room).min(BURST_MAX);
            accounts.held_back.fetch_add(due - made, Ordering::Relaxed);
            for _ in 0..made {
                self.post(context);
            }
        } else if self.calls_under_way() == 0 && !self.is_done {
            self.is_done = true;
            accounts.add(&mut self.told);
            accounts.working.fetch_sub(1, Ordering::AcqRel);
        }
        accounts.add(&mut self.told);
        if !self.is_done {
            context.wake_after(TICK, TICK_SESSION);
        }
    }

    fn calls_under_way(&self) -> usize {
        self.under_way.len() - self.free.len()
    }

    fn post(&mut self, context: &Context<Self>) {
        let node = self
            .node
            .get_or_insert_with(|| context.node(self.numbers.orders.node.as_str()));
        let (number, payload) = self.numbers.next();
        let begun = Instant::now();
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                self.told.push(self.numbers.told(number, &Err(error), begun));
                return;
            }
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.under_way.push(None);
            self.under_way.len() as u32 - 1
        });
        self.under_way[place as usize] = Some((number, begun));
        let orders = &self.numbers.orders;
        let session = TICK_SESSION + 1 + place;
        context.post_remote(
            node,
            orders.address.clone(),
            session,
            payload,
            Some(orders.timeout),
        );
    }
}

impl Service for PostingCaller {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        self.schedule = Schedule::new(self.numbers.orders.rate);
        context.wake_after(TICK, TICK_SESSION);
        Ok(())
    }

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("this service takes no messages"))
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        if session == TICK_SESSION {
            return self.tick(context);
        }
        let place = session.wrapping_sub(TICK_SESSION + 1);
        let under_way = self.under_way.get_mut(place as usize).and_then(Option::take);
        // An answer that nobody waits for would be one too many, and its number shows which.
        let Some((number, begun)) = under_way else {
            self.told.push(Told {
                is_mixed_up: true,
                ..self.numbers.told(0, &result, Instant::now())
            });
            return;
        };
        self.free.push(place);
        self.told.push(self.numbers.told(number, &result, begun));
    }
}

/// A caller that awaits; runs until no more calls are wanted.
pub(super) async fn await_calls(caller: Caller, number: u32, orders: Orders) {
    let accounts = Arc::clone(&orders.accounts);
    let node = caller.node(orders.node.as_str());
    let mut numbers = Numbers {
        caller: number,
        last: 0,
        orders,
    };
    let mut schedule = Schedule::new(numbers.orders.rate);
    let mut told = Vec::new();
    while !accounts.over.load(Ordering::Acquire) {
        if schedule.due() == 0 {
            accounts.add(&mut told);
            caller.sleep(TICK).await;
            continue;
        }
        schedule.passed += 1;
        let (number, payload) = numbers.next();
        let begun = Instant::now();
        let orders = &numbers.orders;
        let call = node
            .call_payload(orders.address.clone(), payload)
            .timeout(orders.timeout);
        let result = match orders.is_idempotent {
            true => call.idempotent().await,
            false => call.await,
        };
        told.push(numbers.told(number, &result, begun));
        if result.is_err() || told.len() >= BURST_MAX as usize {
            accounts.add(&mut told);
            // Errors at once must not become a busy loop.
            if result.is_err() {
                caller.sleep(Duration::from_millis(1)).await;
            }
        }
    }
    accounts.add(&mut told);
    accounts.working.fetch_sub(1, Ordering::AcqRel);
}
