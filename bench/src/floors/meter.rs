//! Counts calls: not those of the warm-up, then those of the time that is measured, then no more.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::measurement::{Measured, PeerError, Settings};
use super::peer::Peer;
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::load::CpuSeconds;
use crate::report::{self, Latency};

/// Calls between two looks at whether somebody wants the program to end.
const ANSWERS_PER_LOOK: u32 = 1_024;

/// What one client measures. Every client that is written here tells it of every call, and stops when it
/// says so; so all of them count the same things in the same way, at the same small cost.
pub(crate) struct Meter {
    peer: Peer,
    settings: Settings,
    server: u32,
    interrupt: Interrupt,
    /// When the present stage ends: first the warm-up, then what is measured.
    stage_ends: Instant,
    /// When counting began, and what processor time had been used by then.
    counting: Option<(Instant, CpuSeconds)>,
    answers: u32,
    latencies: Histogram<u64>,
    errors: u64,
    done: Option<(Duration, CpuSeconds)>,
}

impl Meter {
    /// Begins now with the warm-up. `server` is the process whose processor time counts for the server.
    pub(crate) fn start(peer: Peer, settings: &Settings, server: u32, interrupt: &Interrupt) -> Meter {
        Meter {
            peer,
            settings: settings.clone(),
            server,
            interrupt: interrupt.clone(),
            stage_ends: Instant::now() + settings.warm_up,
            counting: None,
            answers: 0,
            latencies: report::histogram(),
            errors: 0,
            done: None,
        }
    }

    /// A call that began and ended then; `is_same`: its value came back as it was. Breaks when it is enough.
    #[inline]
    pub(crate) fn answered(&mut self, begun: Instant, ended: Instant, is_same: bool) -> ControlFlow<()> {
        if ended >= self.stage_ends {
            return self.next_stage(ended);
        }
        self.answers = self.answers.wrapping_add(1);
        if self.answers.is_multiple_of(ANSWERS_PER_LOOK) && self.interrupt.requested() {
            return ControlFlow::Break(());
        }
        if self.counting.is_some() {
            if !is_same {
                self.errors += 1;
                return ControlFlow::Continue(());
            }
            self.latencies
                .saturating_record(u64::try_from((ended - begun).as_nanos()).unwrap_or(u64::MAX));
        }
        ControlFlow::Continue(())
    }

    #[cold]
    fn next_stage(&mut self, now: Instant) -> ControlFlow<()> {
        match self.counting {
            None => {
                self.counting = Some((now, self.cpu_seconds()));
                self.stage_ends = now + self.settings.duration;
                ControlFlow::Continue(())
            }
            Some((began, before)) => {
                if self.done.is_none() {
                    self.done = Some((now - began, difference(before, self.cpu_seconds())));
                }
                ControlFlow::Break(())
            }
        }
    }

    fn cpu_seconds(&self) -> CpuSeconds {
        CpuSeconds {
            client: cpu_seconds(std::process::id()).unwrap_or(0.0),
            server: cpu_seconds(self.server),
        }
    }

    /// What was measured.
    ///
    /// # Errors
    /// When the client ended before it was enough.
    pub(crate) fn finish(&self) -> Result<Measured, PeerError> {
        let Some((elapsed, cpu_seconds)) = self.done else {
            if self.interrupt.requested() {
                return Err(PeerError::Interrupted);
            }
            return Err(PeerError::Client("it ended before its time".to_owned()));
        };
        let seconds = elapsed.as_secs_f64();
        Ok(Measured {
            name: self.peer.name(),
            calls: self.latencies.len(),
            calls_per_second: self.latencies.len() as f64 / seconds,
            latency_us: Latency::of(&self.latencies),
            errors: self.errors,
            in_flight: self.settings.in_flight,
            size: self.settings.size,
            seconds,
            cpu_seconds,
            note: self.peer.note().to_owned(),
        })
    }
}

/// Processor time used between two looks at it.
pub(crate) fn difference(before: CpuSeconds, after: CpuSeconds) -> CpuSeconds {
    CpuSeconds {
        client: after.client - before.client,
        server: before
            .server
            .zip(after.server)
            .map(|(before, after)| after - before),
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
        let measured = meter.finish().unwrap();
        assert_eq!((measured.calls, measured.errors, measured.seconds), (3, 1, 0.02));
        assert!(
            (measured.latency_us.max / 29_000.0 - 1.0).abs() < 0.01,
            "{measured:?}"
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
