//! One execution of an entry, and what is wrong with it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use super::SLOW;
use super::clock::thread_time;
use crate::entries::events;

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The entry panicked.
    Panic {
        /// Where.
        place: String,
        /// What it said.
        text: String,
    },
    /// It took more than [`SLOW`] three times running; the shortest of them.
    Slow(Duration),
}

impl Failure {
    /// Whether two inputs fail for the same reason, as far as can be told.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Panic { place, .. }, Self::Panic { place: other, .. }) => place == other,
            (Self::Slow(_), Self::Slow(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { place, text } => write!(formatter, "panicked at {place}: {text}"),
            Self::Slow(time) => write!(formatter, "took {:.1} s three times running", time.as_secs_f64()),
        }
    }
}

thread_local! {
    static IS_ATTEMPT: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Runs an entry on an input once, and twice more if that was slow; gives the features that it showed.
///
/// # Errors
/// What is wrong with the input.
pub fn judge(run: fn(&[u8]), input: &[u8]) -> Result<Vec<u32>, Failure> {
    let (time, features) = attempt(run, input)?;
    let mut shortest = time;
    for _ in 0..2 {
        if shortest <= SLOW {
            return Ok(features);
        }
        shortest = shortest.min(attempt(run, input)?.0);
    }
    if shortest <= SLOW {
        return Ok(features);
    }
    Err(Failure::Slow(shortest))
}

fn attempt(run: fn(&[u8]), input: &[u8]) -> Result<(Duration, Vec<u32>), Failure> {
    catch_messages();
    events::taken();
    IS_ATTEMPT.set(true);
    let began = thread_time();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    let time = thread_time().saturating_sub(began);
    IS_ATTEMPT.set(false);
    let features = events::taken();
    match outcome {
        Ok(()) => Ok((time, features)),
        Err(_) => {
            let unknown = || Failure::Panic {
                place: "an unknown place".to_owned(),
                text: "unknown".to_owned(),
            };
            Err(PANIC.take().unwrap_or_else(unknown))
        }
    }
}

/// Has panics of attempts noted instead of printed: there are thousands while an input is shrunk.
fn catch_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if IS_ATTEMPT.get() {
                PANIC.set(Some(noted(panic)));
            } else {
                before(panic);
            }
        }));
    });
}

fn noted(panic: &PanicHookInfo<'_>) -> Failure {
    let place = panic.location().map(ToString::to_string);
    Failure::Panic {
        place: place.unwrap_or_default(),
        text: panic.payload_as_str().unwrap_or("no text").to_owned(),
    }
}
