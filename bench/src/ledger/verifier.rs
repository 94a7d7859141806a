//! The verifier: compares the outcomes that the callers saw with the journals of the callees.
//!
//! It runs while the calls do. Of each caller it retains the calls that have no verdict yet, a byte each: a callee's
//! journal has a caller's calls in their order, so once every journal has a later call of that caller, no earlier one is
//! added to any.
//!
//! Invariants: each call gets one verdict; the retained calls are bounded by [`OPEN_CALLS_MAX`].

use std::collections::VecDeque;

use super::journal::Record;
use super::reports::Outcome;
use super::violations::Violations;

/// Most calls, of all callers together, that may wait for their verdict at a time.
pub(super) const OPEN_CALLS_MAX: usize = 32 << 20;

const OUTCOME: u8 = 0b011;
const ANSWERED: u8 = 0b001;
const NOT_RUN: u8 = 0b010;
const MAY_HAVE_RUN: u8 = 0b011;
const JOURNALED: u8 = 0b100;

/// The calls of one caller that wait for their verdict.
struct CallerState {
    /// The number of the first call in `open`.
    first_open: u64,
    open: VecDeque<u8>,
    /// The last call in each callee's journal.
    last_journaled: Vec<u64>,
}

/// The verdicts so far.
#[derive(Default)]
pub(super) struct Verdicts {
    pub(super) violations: Violations,
    /// Calls that failed with an error that says they may have run, and had run.
    pub(super) ran_though_failed: u64,
    /// Idempotent calls that were run more than once.
    pub(super) repeated: u64,
}

/// The comparison.
pub(super) struct Verifier {
    callers: Vec<CallerState>,
    open_total: usize,
    /// Calls may be run more than once and out of order, because they are idempotent.
    is_repeatable: bool,
    pub(super) verdicts: Verdicts,
}

impl Verifier {
    pub(super) fn new(callers: usize, journals: usize, is_repeatable: bool) -> Verifier {
        Verifier {
            callers: (0..callers)
                .map(|_| CallerState {
                    first_open: 1,
                    open: VecDeque::new(),
                    last_journaled: vec![0; journals],
                })
                .collect(),
            open_total: 0,
            is_repeatable,
            verdicts: Verdicts::default(),
        }
    }

    /// Calls that wait for their verdict.
    pub(super) fn open_total(&self) -> usize {
        self.open_total
    }

    /// Takes the outcome of a call.
    pub(super) fn reported(&mut self, caller: u32, number: u64, outcome: Outcome) {
        let bits = match outcome {
            Outcome::Answered => ANSWERED,
            Outcome::NotRun => NOT_RUN,
            Outcome::MayHaveRun => MAY_HAVE_RUN,
        };
        if let Some(entry) = self.entry_mut(caller, number) {
            *entry |= bits;
        }
        self.judge(caller);
    }

    /// Takes a record of a callee's journal.
    pub(super) fn journaled(&mut self, journal: usize, record: Record) {
        let Record { caller, number, .. } = record;
        let last = self
            .callers
            .get_mut(caller as usize)
            .and_then(|caller| caller.last_journaled.get_mut(journal));
        let Some(last) = last else {
            self.verdicts.violations.invented += 1;
            return self.verdicts.violations.describe(|| {
                format!("journal {journal} has call {number} of caller {caller}, and there is no such caller")
            });
        };
        let last_before = *last;
        *last = last_before.max(number);
        let is_repeatable = self.is_repeatable;
        let was_journaled = match self.entry_mut(caller, number) {
            Some(entry) => {
                let was_journaled = *entry & JOURNALED != 0;
                *entry |= JOURNALED;
                was_journaled
            }
            // It has its verdict, so every journal had a later call, or this very one.
            None => number == last_before,
        };
        if was_journaled && is_repeatable {
            self.verdicts.repeated += 1;
        } else if was_journaled {
            self.verdicts.violations.duplicated += 1;
            self.verdicts
                .violations
                .describe(|| format!("call {number} of caller {caller} was run twice (journal {journal})"));
        } else if number <= last_before && !is_repeatable {
            self.verdicts.violations.out_of_order += 1;
            self.verdicts.violations.describe(|| {
                format!("call {number} of caller {caller} was run after {last_before} (journal {journal})")
            });
        }
        self.judge(caller);
    }

    /// The entry of a call, made when it is new; `None` when the call has its verdict.
    fn entry_mut(&mut self, caller: u32, number: u64) -> Option<&mut u8> {
        let state = self.callers.get_mut(caller as usize)?;
        let index = usize::try_from(number.checked_sub(state.first_open)?).ok()?;
        if index >= state.open.len() {
            self.open_total += index + 1 - state.open.len();
            state.open.resize(index + 1, 0);
        }
        state.open.get_mut(index)
    }

    /// Gives a verdict on a caller's first open calls as far as their journal entries are final.
    fn judge(&mut self, caller: u32) {
        let Some(state) = self.callers.get_mut(caller as usize) else {
            return;
        };
        let final_up_to = state.last_journaled.iter().copied().min().unwrap_or(0);
        while let Some(entry) = state.open.front().copied() {
            let is_final = if self.is_repeatable {
                // Such a call may be journaled again at any time, which is no violation.
                entry & JOURNALED != 0 || entry & OUTCOME != ANSWERED
            } else {
                state.first_open <= final_up_to
            };
            if entry & OUTCOME == 0 || !is_final {
                return;
            }
            let number = state.first_open;
            state.open.pop_front();
            state.first_open += 1;
            self.open_total -= 1;
            self.verdicts.give(caller, number, entry);
        }
    }

    /// Gives a verdict on all other calls, when no more records come. `issued` has the number of each caller's last call.
    pub(super) fn finish(&mut self, issued: &[u64]) {
        for (index, state) in self.callers.iter_mut().enumerate() {
            let caller = index as u32;
            let issued = issued.get(index).copied().unwrap_or(0);
            let end = state.first_open + state.open.len() as u64;
            for number in state.first_open..end.max(issued + 1) {
                let entry = state.open.pop_front().unwrap_or(0);
                if number > issued {
                    self.verdicts.violations.invented += 1;
                    self.verdicts
                        .violations
                        .describe(|| format!("call {number} of caller {caller} was run and never made"));
                } else if entry & OUTCOME == 0 {
                    self.verdicts.violations.unanswered += 1;
                    self.verdicts.violations.describe(|| {
                        format!("call {number} of caller {caller} was neither answered nor failed")
                    });
                } else {
                    self.verdicts.give(caller, number, entry);
                }
            }
            state.first_open = end.max(issued + 1);
        }
        self.open_total = 0;
    }
}

impl Verdicts {
    /// Compares the outcome of a call with the journals, when both are final.
    fn give(&mut self, caller: u32, number: u64, entry: u8) {
        let violations = &mut self.violations;
        match (entry & OUTCOME, entry & JOURNALED != 0) {
            (ANSWERED, false) => {
                violations.lost += 1;
                violations.describe(|| format!("call {number} of caller {caller} was answered and not run"));
            }
            (NOT_RUN, true) => {
                violations.dishonest += 1;
                violations.describe(|| {
                    format!("call {number} of caller {caller} was run, and its error says that it was not")
                });
            }
            (MAY_HAVE_RUN, true) => self.ran_though_failed += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record {
            caller: 0,
            number,
            time_ms: 0,
        }
    }

    fn violations(actions: impl FnOnce(&mut Verifier), issued: u64) -> Vec<(&'static str, u64)> {
        let mut verifier = Verifier::new(1, 2, false);
        actions(&mut verifier);
        verifier.finish(&[issued]);
        assert_eq!(verifier.open_total(), 0);
        verifier
            .verdicts
            .violations
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    #[test]
    fn journals_that_agree_with_the_outcomes_are_no_violation_in_whatever_order_they_are_read() {
        let clean = violations(
            |verifier| {
                verifier.journaled(0, record(1));
                verifier.reported(0, 1, Outcome::Answered);
                verifier.reported(0, 2, Outcome::NotRun);
                verifier.reported(0, 3, Outcome::MayHaveRun);
                verifier.reported(0, 5, Outcome::Answered);
                verifier.journaled(0, record(4));
                verifier.journaled(1, record(5));
                verifier.reported(0, 4, Outcome::MayHaveRun);
                assert_eq!(verifier.verdicts.ran_though_failed, 1);
                verifier.journaled(0, record(6));
                verifier.reported(0, 6, Outcome::Answered);
            },
            6,
        );
        assert_eq!(clean, []);
    }

    /// The promise that is broken, how, and the number of the caller's last call.
    type Violation = (&'static str, fn(&mut Verifier), u64);

    #[test]
    fn every_broken_promise_is_found() {
        let cases: [Violation; 8] = [
            ("lost", |verifier| verifier.reported(0, 1, Outcome::Answered), 1),
            (
                "duplicated",
                |verifier| {
                    verifier.reported(0, 1, Outcome::Answered);
                    verifier.journaled(0, record(1));
                    verifier.journaled(0, record(1));
                },
                1,
            ),
            (
                "duplicated",
                |verifier| {
                    verifier.reported(0, 1, Outcome::Answered);
                    verifier.journaled(0, record(1));
                    verifier.journaled(1, record(1));
                },
                1,
            ),
            (
                "out of order",
                |verifier| {
                    for number in [2, 1] {
                        verifier.reported(0, number, Outcome::Answered);
                        verifier.journaled(0, record(number));
                    }
                },
                2,
            ),
            (
                "dishonest",
                |verifier| {
                    verifier.reported(0, 1, Outcome::NotRun);
                    verifier.journaled(0, record(1));
                },
                1,
            ),
            ("unanswered", |_| (), 1),
            (
                "invented",
                |verifier| {
                    verifier.journaled(0, record(1));
                },
                0,
            ),
            (
                "invented",
                |verifier| {
                    verifier.journaled(
                        0,
                        Record {
                            caller: 9,
                            number: 1,
                            time_ms: 0,
                        },
                    );
                },
                0,
            ),
        ];
        for (name, actions, issued) in cases {
            assert_eq!(violations(actions, issued), [(name, 1)]);
        }
    }

    #[test]
    fn a_call_that_runs_twice_long_after_its_verdict_is_still_found() {
        let found = violations(
            |verifier| {
                for number in 1..=10 {
                    verifier.reported(0, number, Outcome::Answered);
                    verifier.journaled(0, record(number));
                    verifier.journaled(1, record(number + 100));
                }
                // The calls of the second journal, whose outcomes come at last.
                for number in 11..=110 {
                    verifier.reported(0, number, Outcome::MayHaveRun);
                }
                assert!(verifier.open_total() > 0);
                verifier.journaled(0, record(10));
            },
            110,
        );
        assert_eq!(found, [("duplicated", 1)]);
    }

    #[test]
    fn only_open_calls_are_retained() {
        let mut verifier = Verifier::new(1, 1, false);
        for number in 1..=1_000 {
            verifier.journaled(0, record(number));
            verifier.reported(0, number, Outcome::Answered);
            assert!(verifier.open_total() <= 1, "{}", verifier.open_total());
        }
    }

    #[test]
    fn idempotent_calls_may_run_twice_and_in_any_order_but_not_be_lost() {
        let mut verifier = Verifier::new(1, 2, true);
        for number in [2, 1, 1] {
            verifier.journaled(0, record(number));
        }
        verifier.journaled(1, record(2));
        for number in [1, 2, 3] {
            verifier.reported(0, number, Outcome::Answered);
        }
        verifier.finish(&[3]);
        assert_eq!(verifier.verdicts.repeated, 2);
        assert_eq!(
            (
                verifier.verdicts.violations.total(),
                verifier.verdicts.violations.lost
            ),
            (1, 1)
        );
    }
}
