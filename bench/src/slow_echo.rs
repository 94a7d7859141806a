//! An echo that is slower on purpose, to test whether a slow-down is found.

use std::hint;
use std::time::Duration;

use quanta::Instant;
use skyring::{Answer, Context, Error, Kinds, Message, Service};

/// Longer pauses between two calls count as this long: an idle service need not make up for them.
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// Most percent.
const PERCENT_MAX: u32 = 1_000;

/// Shorter loops are put off and added up: reading the clock takes tens of nanoseconds by itself.
const LOOP_MIN: Duration = Duration::from_nanos(500);

/// Times round the loop between two looks at the clock, so that most of its time is its own and not that of the clock.
const SPINS: u32 = 50;

/// Answers a call with its own payload, after a busy loop: the time since the call before becomes longer by a number of
/// percent. With 0 it reads the clock as well, so that two of these differ by the loops alone.
#[derive(Debug)]
struct SlowEcho {
    percent: u32,
    last: Instant,
    /// How long loops are still to run.
    debt: Duration,
    /// How much longer than that the loops have run.
    credit: Duration,
}

impl SlowEcho {
    fn wait(&mut self) {
        let now = Instant::now();
        self.debt += (now - self.last).min(PAUSE_MAX) * self.percent / 100;
        self.last = now;
        if self.debt >= LOOP_MIN {
            let time = self.debt.saturating_sub(self.credit);
            self.last = burn_processor_time(now, time);
            self.credit = (self.credit + (self.last - now)).saturating_sub(self.debt);
            self.debt = Duration::ZERO;
        }
    }
}

/// Uses the processor from `now` on for that long, and returns the time at the end. In a flame graph it is a function of
/// its own.
#[inline(never)]
fn burn_processor_time(now: Instant, time: Duration) -> Instant {
    let end = now + time;
    let mut read = now;
    while read < end {
        // Without a call of another function, in builds without optimisation as well.
        let (mut number, mut spin) = (hint::black_box(1u64), 0);
        while spin < SPINS {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            spin += 1;
        }
        hint::black_box(number);
        read = Instant::now();
    }
    read
}

impl Service for SlowEcho {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        self.wait();
        if message.is_call() {
            Answer::payload(message.payload)
        } else {
            Answer::none()
        }
    }
}

/// Adds the kind `slow-echo`, whose argument is the number of percent.
pub fn slow_echo_kind(kinds: Kinds) -> Kinds {
    kinds.add("slow-echo", |arguments| match arguments.parse() {
        Ok(percent) if percent <= PERCENT_MAX => Ok(SlowEcho {
            percent,
            last: Instant::now(),
            debt: Duration::ZERO,
            credit: Duration::ZERO,
        }),
        _ => Err(Error::invalid(format!(
            "slow-echo wants a number of percent, at most {PERCENT_MAX}, and got \"{arguments}\""
        ))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_ends_no_earlier_than_its_time() {
        let now = Instant::now();
        let time = Duration::from_micros(50);
        assert!(burn_processor_time(now, time) - now >= time);
        assert_eq!(burn_processor_time(now, Duration::ZERO), now);
    }
}
