//! The comparison of the books: what the callers were told against what the callees have run.
//!
//! It goes on while the calls do. Of each caller it keeps the calls whose fate is not certain yet, a byte
//! each: a callee's book holds a caller's calls in their order, so once every book has a later call of that
//! caller, an earlier one cannot be added to any.
//!
//! Invariants: a number is judged once; what is kept is bounded by [`OPEN_CALLS_MAX`].

use std::collections::VecDeque;
use std::fmt;

use super::book::Record;

/// Most calls, of all callers together, whose fate may be uncertain at a time.
pub(super) const OPEN_CALLS_MAX: usize = 32 << 20;

/// Violations that are told one by one.
const VIOLATIONS_TOLD_MAX: usize = 20;

/// What a caller was told of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was answered.
    Answered,
    /// It failed, and the error says that it has not run.
    NotRun,
    /// It failed, and the error says that it may have run.
    MayHaveRun,
}

const TOLD: u8 = 0b011;
const ANSWERED: u8 = 0b001;
const NOT_RUN: u8 = 0b010;
const MAY_HAVE_RUN: u8 = 0b011;
const BOOKED: u8 = 0b100;

/// How often a promise was broken, by promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    /// Calls that were answered and stand in no book.
    pub lost: u64,
    /// Calls that were run more than once.
    pub duplicated: u64,
    /// Calls that were run after a later one of the same caller.
    pub out_of_order: u64,
    /// Calls that were run although their error says that they were not.
    pub dishonest: u64,
    /// Calls that were neither answered nor failed.
    pub unanswered: u64,
    /// Calls that ended later than their deadline and [`LATE_TOLERANCE`](super::LATE_TOLERANCE).
    pub late: u64,
    /// Calls that got the answer to another.
    pub mixed_up: u64,
    /// Calls in a book that nobody has made.
    pub invented: u64,
    /// The first of them, one line each.
    pub told: Vec<String>,
}

impl Violations {
    /// Every count with its name.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("out of order", self.out_of_order),
            ("dishonest", self.dishonest),
            ("unanswered", self.unanswered),
            ("late", self.late),
            ("mixed up", self.mixed_up),
            ("invented", self.invented),
        ]
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.told.len() < VIOLATIONS_TOLD_MAX {
            self.told.push(line());
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .counts()
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        formatter.write_str(&parts.join(", "))
    }
}

/// What is known of one caller.
struct CallerBook {
    /// The number of the first call in `open`.
    first_open: u64,
    open: VecDeque<u8>,
    /// The last call in each callee's book.
    last_booked: Vec<u64>,
}

/// The comparison; see the module.
pub(super) struct Check {
    callers: Vec<CallerBook>,
    open_total: usize,
    /// Calls may be run more than once and out of order, because they are idempotent.
    is_repeatable: bool,
    pub(super) violations: Violations,
    /// Calls that failed with an error that leaves it open, and had run.
    pub(super) ran_though_failed: u64,
    /// Calls of idempotent ones that were run more than once.
    pub(super) repeated: u64,
}

impl Check {
    pub(super) fn new(callers: usize, books: usize, is_repeatable: bool) -> Check {
        Check {
            callers: (0..callers)
                .map(|_| CallerBook {
                    first_open: 1,
                    open: VecDeque::new(),
                    last_booked: vec![0; books],
                })
                .collect(),
            open_total: 0,
            is_repeatable,
            violations: Violations::default(),
            ran_though_failed: 0,
            repeated: 0,
        }
    }

    /// Calls whose fate is not certain yet.
    pub(super) fn open_total(&self) -> usize {
        self.open_total
    }

    /// A caller was told what became of its call.
    pub(super) fn told(&mut self, caller: u32, number: u64, fate: Fate) {
        let bits = match fate {
            Fate::Answered => ANSWERED,
            Fate::NotRun => NOT_RUN,
            Fate::MayHaveRun => MAY_HAVE_RUN,
        };
        if let Some(entry) = self.entry(caller, number) {
            *entry |= bits;
        }
        self.judge(caller);
    }

    /// A callee has run a call.
    pub(super) fn booked(&mut self, book: usize, record: Record) {
        let Record { caller, number } = record;
        let last = self
            .callers
            .get_mut(caller as usize)
            .and_then(|caller| caller.last_booked.get_mut(book));
        let Some(last) = last else {
            self.violations.invented += 1;
            return self.violations.tell(|| {
                format!("book {book} has call {number} of caller {caller}, and there is no such caller")
            });
        };
        let last_before = *last;
        *last = last_before.max(number);
        let is_repeatable = self.is_repeatable;
        let was_booked = match self.entry(caller, number) {
            Some(entry) => {
                let was_booked = *entry & BOOKED != 0;
                *entry |= BOOKED;
                was_booked
            }
            // Judged already, so every book had a later one, or this very one.
            None => number == last_before,
        };
        if was_booked && is_repeatable {
            self.repeated += 1;
        } else if was_booked {
            self.violations.duplicated += 1;
            self.violations
                .tell(|| format!("call {number} of caller {caller} was run twice (book {book})"));
        } else if number <= last_before && !is_repeatable {
            self.violations.out_of_order += 1;
            self.violations.tell(|| {
                format!("call {number} of caller {caller} was run after {last_before} (book {book})")
            });
        }
        self.judge(caller);
    }

    /// The place of an open call, made when it is new; `None` when it was judged already.
    fn entry(&mut self, caller: u32, number: u64) -> Option<&mut u8> {
        let known = self.callers.get_mut(caller as usize)?;
        let index = usize::try_from(number.checked_sub(known.first_open)?).ok()?;
        if index >= known.open.len() {
            self.open_total += index + 1 - known.open.len();
            known.open.resize(index + 1, 0);
        }
        known.open.get_mut(index)
    }

    /// Judges those of a caller's first open calls whose fate is certain.
    fn judge(&mut self, caller: u32) {
        let Some(known) = self.callers.get_mut(caller as usize) else {
            return;
        };
        let certain_up_to = known.last_booked.iter().copied().min().unwrap_or(0);
        while let Some(entry) = known.open.front().copied() {
            let is_certain = if self.is_repeatable {
                // Such a call may be added to a book at any time, which is no violation.
                entry & BOOKED != 0 || entry & TOLD != ANSWERED
            } else {
                known.first_open <= certain_up_to
            };
            if entry & TOLD == 0 || !is_certain {
                return;
            }
            let number = known.first_open;
            known.open.pop_front();
            known.first_open += 1;
            self.open_total -= 1;
            verdict(
                &mut self.violations,
                &mut self.ran_though_failed,
                caller,
                number,
                entry,
            );
        }
    }

    /// Judges what is left, when nothing more will come. `issued` has the number of each caller's last call.
    pub(super) fn finish(&mut self, issued: &[u64]) {
        for (index, known) in self.callers.iter_mut().enumerate() {
            let caller = index as u32;
            let issued = issued.get(index).copied().unwrap_or(0);
            let end = known.first_open + known.open.len() as u64;
            for number in known.first_open..end.max(issued + 1) {
                let entry = known.open.pop_front().unwrap_or(0);
                if number > issued {
                    self.violations.invented += 1;
                    self.violations
                        .tell(|| format!("call {number} of caller {caller} was run and never made"));
                } else if entry & TOLD == 0 {
                    self.violations.unanswered += 1;
                    self.violations
                        .tell(|| format!("call {number} of caller {caller} was neither answered nor failed"));
                } else {
                    verdict(
                        &mut self.violations,
                        &mut self.ran_though_failed,
                        caller,
                        number,
                        entry,
                    );
                }
            }
            known.first_open = end.max(issued + 1);
        }
        self.open_total = 0;
    }
}

/// Compares what a caller was told of a call with what the books say, when both are final.
fn verdict(violations: &mut Violations, ran_though_failed: &mut u64, caller: u32, number: u64, entry: u8) {
    match (entry & TOLD, entry & BOOKED != 0) {
        (ANSWERED, false) => {
            violations.lost += 1;
            violations.tell(|| format!("call {number} of caller {caller} was answered and not run"));
        }
        (NOT_RUN, true) => {
            violations.dishonest += 1;
            violations.tell(|| {
                format!("call {number} of caller {caller} was run, and its error says that it was not")
            });
        }
        (MAY_HAVE_RUN, true) => *ran_though_failed += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record { caller: 0, number }
    }

    fn violations(actions: impl FnOnce(&mut Check), issued: u64) -> Vec<(&'static str, u64)> {
        let mut check = Check::new(1, 2, false);
        actions(&mut check);
        check.finish(&[issued]);
        assert_eq!(check.open_total(), 0);
        check
            .violations
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    #[test]
    fn books_that_agree_are_no_violation_in_whatever_order_they_are_read() {
        let clean = violations(
            |check| {
                check.booked(0, record(1));
                check.told(0, 1, Fate::Answered);
                check.told(0, 2, Fate::NotRun);
                check.told(0, 3, Fate::MayHaveRun);
                check.told(0, 5, Fate::Answered);
                check.booked(0, record(4));
                check.booked(1, record(5));
                check.told(0, 4, Fate::MayHaveRun);
                assert_eq!(check.ran_though_failed, 1);
                check.booked(0, record(6));
                check.told(0, 6, Fate::Answered);
            },
            6,
        );
        assert_eq!(clean, []);
    }

    /// The promise that is broken, how, and the number of the caller's last call.
    type Case = (&'static str, fn(&mut Check), u64);

    #[test]
    fn every_broken_promise_is_found() {
        let cases: [Case; 8] = [
            ("lost", |check| check.told(0, 1, Fate::Answered), 1),
            (
                "duplicated",
                |check| {
                    check.told(0, 1, Fate::Answered);
                    check.booked(0, record(1));
                    check.booked(0, record(1));
                },
                1,
            ),
            (
                "duplicated",
                |check| {
                    check.told(0, 1, Fate::Answered);
                    check.booked(0, record(1));
                    check.booked(1, record(1));
                },
                1,
            ),
            (
                "out of order",
                |check| {
                    for number in [2, 1] {
                        check.told(0, number, Fate::Answered);
                        check.booked(0, record(number));
                    }
                },
                2,
            ),
            (
                "dishonest",
                |check| {
                    check.told(0, 1, Fate::NotRun);
                    check.booked(0, record(1));
                },
                1,
            ),
            ("unanswered", |_| (), 1),
            (
                "invented",
                |check| {
                    check.booked(0, record(1));
                },
                0,
            ),
            (
                "invented",
                |check| {
                    check.booked(0, Record { caller: 9, number: 1 });
                },
                0,
            ),
        ];
        for (name, actions, issued) in cases {
            assert_eq!(violations(actions, issued), [(name, 1)]);
        }
    }

    #[test]
    fn a_call_that_comes_twice_long_after_it_was_judged_is_still_found() {
        let found = violations(
            |check| {
                for number in 1..=10 {
                    check.told(0, number, Fate::Answered);
                    check.booked(0, record(number));
                    check.booked(1, record(number + 100));
                }
                // The second book's calls, made at last.
                for number in 11..=110 {
                    check.told(0, number, Fate::MayHaveRun);
                }
                assert!(check.open_total() > 0);
                check.booked(0, record(10));
            },
            110,
        );
        assert_eq!(found, [("duplicated", 1)]);
    }

    #[test]
    fn what_is_kept_is_what_is_open() {
        let mut check = Check::new(1, 1, false);
        for number in 1..=1_000 {
            check.booked(0, record(number));
            check.told(0, number, Fate::Answered);
            assert!(check.open_total() <= 1, "{}", check.open_total());
        }
    }

    #[test]
    fn idempotent_calls_may_run_twice_and_in_any_order_but_not_be_lost() {
        let mut check = Check::new(1, 2, true);
        for number in [2, 1, 1] {
            check.booked(0, record(number));
        }
        check.booked(1, record(2));
        for number in [1, 2, 3] {
            check.told(0, number, Fate::Answered);
        }
        check.finish(&[3]);
        assert_eq!(check.repeated, 2);
        assert_eq!((check.violations.total(), check.violations.lost), (1, 1));
    }
}
