//! A sign of life on the standard error: a bar where a terminal shows it, plain lines otherwise.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use skyring_bench::grouped;

/// Characters of the bar.
const BAR: usize = 30;

/// Time between two plain lines.
const LINE_TIME: Duration = Duration::from_secs(10);

/// How far a load is.
pub(super) struct Progress {
    is_terminal: bool,
    warm_up: Duration,
    total: Duration,
    started: Instant,
    /// When something was last said, and how many calls were answered by then.
    said: Instant,
    calls: u64,
}

impl Progress {
    pub(super) fn start(warm_up: Duration, duration: Duration) -> Progress {
        let now = Instant::now();
        let progress = Progress {
            is_terminal: io::stderr().is_terminal(),
            warm_up,
            total: warm_up + duration,
            started: now,
            said: now,
            calls: 0,
        };
        if !progress.is_terminal {
            let measuring = format!("measuring for {} s", duration.as_secs_f64());
            Progress::say(&if warm_up.is_zero() {
                measuring
            } else {
                format!("warming up for {} s, then {measuring}", warm_up.as_secs_f64())
            });
        }
        progress
    }

    /// Says a line of its own.
    pub(super) fn say(line: &str) {
        // Only signs of life; when nobody sees them, nothing is lost.
        let clear = if io::stderr().is_terminal() {
            "\r\x1b[K"
        } else {
            ""
        };
        let _ = writeln!(io::stderr(), "{clear}{line}");
    }

    /// So many calls are answered by now.
    pub(super) fn show(&mut self, calls: u64) {
        let (now, elapsed) = (Instant::now(), self.started.elapsed());
        let since = now - self.said;
        let rate = (calls.saturating_sub(self.calls)) as f64 / since.as_secs_f64().max(1e-3);
        if self.is_terminal {
            let stage = match elapsed {
                elapsed if elapsed < self.warm_up => "warming up",
                elapsed if elapsed < self.total => "measuring",
                _ => "waiting for answers",
            };
            let _ = write!(
                io::stderr(),
                "\r\x1b[K{} {stage}  {:>4.1} of {} s  {} calls/s",
                bar(elapsed.as_secs_f64() / self.total.as_secs_f64()),
                elapsed.min(self.total).as_secs_f64(),
                self.total.as_secs_f64(),
                grouped(rate)
            );
        } else if since >= LINE_TIME {
            Progress::say(&format!(
                "{} of {} s, {} calls/s",
                elapsed.as_secs(),
                self.total.as_secs_f64(),
                grouped(rate)
            ));
        } else {
            return;
        }
        (self.said, self.calls) = (now, calls);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
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
    fn a_bar_is_as_long_however_much_is_done() {
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
