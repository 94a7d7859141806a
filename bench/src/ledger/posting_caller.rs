//! A caller that posts its calls when they are due, however many are in flight.
//!
//! Invariant: the calls in flight are bounded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quanta::Instant;
use skyring::{Answer, Context, Error, Message, NodeRef, Payload, Service};

use super::caller_settings::{BURST_MAX, CallerSettings, TICK};
use super::calls::{Numbers, Schedule};
use super::reports::CallReport;

/// Most calls that one caller has in flight. Past them it makes none, and calls that were due are skipped.
const IN_FLIGHT_MAX: usize = 4_096;

/// The session of the tick; sessions of calls begin after it.
const TICK_SESSION: u32 = 1;

/// A call in flight: its number, and when it began.
type InFlight = (u64, Instant);

/// A caller that posts its calls.
pub(super) struct PostingCaller {
    numbers: Numbers,
    schedule: Schedule,
    node: Option<NodeRef>,
    /// By session, less the first session of calls.
    in_flight: Vec<Option<InFlight>>,
    free: Vec<u32>,
    reports: Vec<CallReport>,
    is_done: bool,
}

impl PostingCaller {
    pub(super) fn new(caller: u32, settings: CallerSettings) -> PostingCaller {
        PostingCaller {
            schedule: Schedule::new(settings.rate),
            numbers: Numbers::new(caller, settings),
            node: None,
            in_flight: Vec::new(),
            free: Vec::new(),
            reports: Vec::new(),
            is_done: false,
        }
    }

    fn tick(&mut self, context: &Context<Self>) {
        let reports = Arc::clone(&self.numbers.settings.reports);
        if !reports.over.load(Ordering::Acquire) {
            let due = self.schedule.due();
            self.schedule.passed += due;
            let free = (IN_FLIGHT_MAX - self.calls_in_flight()) as u64;
            let made = due.min(free).min(BURST_MAX);
            reports.held_back.fetch_add(due - made, Ordering::Relaxed);
            for _ in 0..made {
                self.post(context);
            }
        } else if self.calls_in_flight() == 0 && !self.is_done {
            self.is_done = true;
            reports.add(&mut self.reports);
            reports.working.fetch_sub(1, Ordering::AcqRel);
        }
        reports.add(&mut self.reports);
        if !self.is_done {
            context.wake_after(TICK, TICK_SESSION);
        }
    }

    fn calls_in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    fn post(&mut self, context: &Context<Self>) {
        let node = self.node.get_or_insert_with(|| {
            let settings = &self.numbers.settings;
            context.node(settings.node.as_str()).when_down(settings.when_down)
        });
        let (number, payload) = self.numbers.next();
        let begun = Instant::now();
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                self.reports.push(self.numbers.report(number, &Err(error), begun));
                return;
            }
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.in_flight.push(None);
            self.in_flight.len() as u32 - 1
        });
        self.in_flight[place as usize] = Some((number, begun));
        let settings = &self.numbers.settings;
        let session = TICK_SESSION + 1 + place;
        context.post_remote(
            node,
            settings.address.clone(),
            session,
            payload,
            Some(settings.timeout),
        );
    }
}

impl Service for PostingCaller {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        self.schedule = Schedule::new(self.numbers.settings.rate);
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
        let in_flight = self.in_flight.get_mut(place as usize).and_then(Option::take);
        // A reply to no call is one too many; its number tells which.
        let Some((number, begun)) = in_flight else {
            self.reports.push(CallReport {
                is_mixed_up: true,
                ..self.numbers.report(0, &result, Instant::now())
            });
            return;
        };
        self.free.push(place);
        self.reports.push(self.numbers.report(number, &result, begun));
    }
}
