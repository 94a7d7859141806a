//! The progress of a load on the standard error: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use skyring_bench::grouped;

use crate::shared::status_line::StatusLine;

/// Characters of the bar.
const BAR: usize = 30;

/// Time between two plain lines.
const LINE_TIME: Duration = Duration::from_secs(10);

/// The progress of a load.
pub(super) struct Progress {
    status: StatusLine,
    warm_up: Duration,
    total: Duration,
    started: Instant,
    /// When a line was last printed, and how many calls were answered by then.
    printed: Instant,
    calls: u64,
}

impl Progress {
    pub(super) fn start(warm_up: Duration, duration: Duration) -> Progress {
        let now = Instant::now();
        let progress = Progress {
            status: StatusLine::new(),
            warm_up,
            total: warm_up + duration,
            started: now,
            printed: now,
            calls: 0,
        };
        if !progress.status.is_terminal() {
            let measuring = format!("measuring for {} s", duration.as_secs_f64());
            progress.status.print_line(if warm_up.is_zero() {
                measuring
            } else {
                format!("warming up for {} s, then {measuring}", warm_up.as_secs_f64())
            });
        }
        progress
    }

    /// Updates the number of answered calls.
    pub(super) fn show(&mut self, calls: u64) {
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let since = now - self.printed;
        let rate = (calls.saturating_sub(self.calls)) as f64 / since.as_secs_f64().max(1e-3);
        if self.status.is_terminal() {
            let stage = match elapsed {
                elapsed if elapsed < self.warm_up => "warming up",
                elapsed if elapsed < self.total => "measuring",
                _ => "waiting for answers",
            };
            self.status.show(format_args!(
                "{} {stage}  {:>4.1} of {} s  {} calls/s",
                bar(elapsed.as_secs_f64() / self.total.as_secs_f64()),
                elapsed.min(self.total).as_secs_f64(),
                self.total.as_secs_f64(),
                grouped(rate)
            ));
        } else if since >= LINE_TIME {
            self.status.print_line(format_args!(
                "{} of {} s, {} calls/s",
                elapsed.as_secs(),
                self.total.as_secs_f64(),
                grouped(rate)
            ));
        } else {
            return;
        }
        (self.printed, self.calls) = (now, calls);
    }
}

fn bar(part: f64) -> String {
    let full = ((part.clamp(0.0, 1.0) * BAR as f64) as usize).min(BAR);
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_the_same_length_at_all_times() {
        for (part, full) in [
            (-1.0, 0),
            (0.0, 0),
            (0.5, BAR / 2),
            (1.0, BAR),
            (7.0, BAR),
            (f64::NAN, 0),
        ] {
            let bar = bar(part);
            assert_eq!(bar.len(), BAR + 2);
            assert_eq!(bar.matches('#').count(), full, "{part}");
        }
    }
}
