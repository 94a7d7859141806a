//! Intervals: ticks that do not drift.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;

use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::rt;
use crate::service::caller::Caller;
use crate::service::sleep::Sleep;

impl Caller {
    /// Ticks every `period`, in whole milliseconds, 1 at least, the first time after one period. The ticks are at multiples
    /// of the period after now, whatever the time between two calls of [`Interval::tick`]: they do not drift.
    pub fn interval(&self, period: Duration) -> Interval {
        let start = self.shard.update_now() + 1;
        Interval {
            shard: Rc::clone(&self.shard),
            schedule: Schedule {
                period_ms: whole_milliseconds(period).max(1),
                next: start.saturating_add(whole_milliseconds(period).max(1)),
            },
            jitter_ms: 0,
        }
    }
}

/// When the ticks of an interval are.
struct Schedule {
    period_ms: Millis,
    /// The next tick.
    next: Millis,
}

impl Schedule {
    /// The time of the next tick, and how many before it are missed: those whose successor is due too.
    fn advance(&mut self, now: Millis) -> (Millis, u64) {
        let missed = now.saturating_sub(self.next) / self.period_ms;
        let due = self.next + missed * self.period_ms;
        self.next = due + self.period_ms;
        (due, missed)
    }
}

/// Ticks that do not drift; from [`Caller::interval`]. It belongs to the task that awaits it, and so ends with its service.
pub struct Interval {
    shard: Rc<ShardCore>,
    schedule: Schedule,
    jitter_ms: Millis,
}

impl Interval {
    /// Delays each tick by a random time up to `most`, less than the period: so the services that save something
    /// periodically do not all do it at once. The times that the delays are added to stay the same.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Interval {
        self.jitter_ms = whole_milliseconds(most).min(self.schedule.period_ms - 1);
        self
    }

    /// Waits for the next tick, and returns how many were missed. A tick that is late comes at once; when a further one is
    /// due by then, the earlier ones are missed: they are skipped, and counted.
    pub async fn tick(&mut self) -> u64 {
        let (due, missed) = self.schedule.advance(self.shard.update_now());
        let delay_ms = match self.jitter_ms {
            0 => 0,
            most => rt::random_number() % (most + 1),
        };
        Sleep {
            shard: Rc::clone(&self.shard),
            key: self.shard.insert_waiter(Some(due + delay_ms)),
        }
        .await;
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_on_their_multiples_and_those_overtaken_are_counted() {
        let mut schedule = Schedule {
            period_ms: 10,
            next: 110,
        };
        for (now, expected) in [
            (100, (110, 0)),
            (113, (120, 0)),
            // Late, but by less than a period: at once.
            (139, (130, 0)),
            (139, (140, 0)),
            (185, (180, 3)),
            (185, (190, 0)),
            (100_000, (100_000, 9_980)),
            (100_000, (100_010, 0)),
        ] {
            assert_eq!(schedule.advance(now), expected, "at {now}");
        }
    }
}
