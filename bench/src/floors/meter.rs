//! Counts the calls of the measured time: not those of the warm-up before it, nor later ones.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use crate::cpu::CpuSeconds;
use crate::interrupt::Interrupt;
use crate::latency;

/// Calls between two checks of the interrupt.
const CALLS_PER_CHECK: u32 = 1_024;

/// The measurement of one client. Every client of ours reports every call to it, and stops when it returns a break; so
/// all of them count the same things in the same way, at the same small cost.
pub(crate) struct Meter {
    peer: Peer,
    settings: Settings,
    server: u32,
    interrupt: Interrupt,
    /// When the present stage ends: first the warm-up, then the measured time.
    stage_ends: Instant,
    /// When the measured time began, and the processor time that had been used by then.
    counting: Option<(Instant, CpuSeconds)>,
    answers: u32,
    latencies: Histogram<u64>,
    errors: u64,
    done: Option<(Duration, CpuSeconds)>,
}

impl Meter {
    /// Begins the warm-up. `server` is the process whose processor time counts for the server.
    pub(crate) fn start(peer: Peer, settings: &Settings, server: u32, interrupt: &Interrupt) -> Meter {
        Meter {
            peer,
            settings: settings.clone(),
            server,
            interrupt: interrupt.clone(),
            stage_ends: Instant::now() + settings.warm_up,
            counting: None,
            answers: 0,
            latencies: latency::histogram(),
            errors: 0,
            done: None,
        }
    }

    /// Records a call; `is_same`: it returned the value that was sent. Breaks when the measured time is over.
    #[inline]
    pub(crate) fn answered(&mut self, begun: Instant, ended: Instant, is_same: bool) -> ControlFlow<()> {
        if ended >= self.stage_ends {
            return self.next_stage(ended);
        }
        self.answers = self.answers.wrapping_add(1);
        if self.answers.is_multiple_of(CALLS_PER_CHECK) && self.interrupt.requested() {
            return ControlFlow::Break(());
        }
        if self.counting.is_some() {
            if !is_same {
                self.errors += 1;
                return ControlFlow::Continue(());
            }
            latency::record(&mut self.latencies, ended - begun);
        }
        ControlFlow::Continue(())
    }

    #[cold]
    fn next_stage(&mut self, now: Instant) -> ControlFlow<()> {
        match self.counting {
            None => {
                self.counting = Some((now, CpuSeconds::now(Some(self.server))));
                self.stage_ends = now + self.settings.duration;
                ControlFlow::Continue(())
            }
            Some((began, before)) => {
                if self.done.is_none() {
                    self.done = Some((now - began, CpuSeconds::now(Some(self.server)).since(before)));
                }
                ControlFlow::Break(())
            }
        }
    }

    /// The result.
    ///
    /// # Errors
    /// When the client ended before the measured time did.
    pub(crate) fn finish(&self) -> Result<PeerResult, PeerError> {
        let Some((elapsed, cpu_seconds)) = self.done else {
            if self.interrupt.requested() {
                return Err(PeerError::Interrupted);
            }
            return Err(PeerError::Client("it ended before its time".to_owned()));
        };
        let measured = (elapsed.as_secs_f64(), cpu_seconds);
        Ok(PeerResult::of_latencies(
            self.peer,
            &self.settings,
            &self.latencies,
            self.errors,
            measured,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn meter() -> Meter {
        let settings = Settings {
            in_flight: 1,
            size: 64,
            duration: 20 * MILLISECOND,
            warm_up: 10 * MILLISECOND,
            spin: Duration::ZERO,
            server_cpu: 0,
            client_cpu: 1,
            skynet: None,
        };
        Meter::start(
            Peer::Glommio,
            &settings,
            std::process::id(),
            &Interrupt::default(),
        )
    }

    #[test]
    fn calls_are_counted_after_the_warm_up_and_until_the_end() {
        let mut meter = meter();
        let start = meter.stage_ends - 10 * MILLISECOND;
        let mut answered = |at: u32, is_same| meter.answered(start, start + at * MILLISECOND, is_same);
        // The call that ends the warm-up is not counted either.
        for at in [1, 9, 10] {
            assert!(answered(at, true).is_continue());
        }
        for at in [11, 15, 29] {
            assert!(answered(at, true).is_continue());
        }
        assert!(answered(20, false).is_continue());
        assert!(answered(30, true).is_break());
        assert!(answered(31, true).is_break());
        let result = meter.finish().unwrap();
        assert_eq!((result.calls, result.errors, result.seconds), (3, 1, 0.02));
        assert!(
            (result.latency_us.max / 29_000.0 - 1.0).abs() < 0.01,
            "{result:?}"
        );
    }

    #[test]
    fn a_client_that_ends_before_its_time_has_no_figures() {
        let mut meter = meter();
        let end = meter.stage_ends;
        assert!(meter.answered(end, end, true).is_continue());
        assert!(matches!(meter.finish(), Err(PeerError::Client(_))));
    }
}
