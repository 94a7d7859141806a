//! What happens to the callee's process and to the map while the calls go on.

use std::time::{Duration, Instant};

/// How often what happens; `None` = never.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    /// SIGKILL and restart.
    pub(super) kill: Option<Duration>,
    /// SIGTERM and restart.
    pub(super) terminate: Option<Duration>,
    /// SIGSTOP.
    pub(super) pause: Option<Duration>,
    /// How long it lasts until SIGCONT.
    pub(super) pause_time: Duration,
    /// Another address in the map.
    pub(super) reload: Option<Duration>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// End the process with SIGKILL, and start it again.
    Kill,
    /// Let it end in order, with SIGTERM, and start it again.
    Terminate,
    /// Stop it with SIGSTOP.
    Pause,
    /// Let it go on.
    Resume,
    /// Move it.
    Reload,
}

/// Says when what is to be done.
#[derive(Debug)]
pub(super) struct Timetable {
    schedule: Schedule,
    kill: Option<Instant>,
    terminate: Option<Instant>,
    pause: Option<Instant>,
    resume: Option<Instant>,
    reload: Option<Instant>,
}

impl Timetable {
    pub(super) fn new(schedule: Schedule, now: Instant) -> Timetable {
        let after = |pause: Option<Duration>| pause.map(|pause| now + pause);
        Timetable {
            kill: after(schedule.kill),
            terminate: after(schedule.terminate),
            pause: after(schedule.pause),
            resume: None,
            reload: after(schedule.reload),
            schedule,
        }
    }

    /// The next thing to do, if its time has come. A process that is stopped is not killed meanwhile.
    pub(super) fn next(&mut self, now: Instant) -> Option<Fault> {
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let after = |pause: Option<Duration>| pause.map(|pause| now + pause);
        if is_due(self.resume) {
            self.resume = None;
            self.pause = after(self.schedule.pause);
            return Some(Fault::Resume);
        }
        if is_due(self.reload) {
            self.reload = after(self.schedule.reload);
            return Some(Fault::Reload);
        }
        if self.resume.is_some() {
            return None;
        }
        if is_due(self.pause) {
            self.pause = None;
            self.resume = Some(now + self.schedule.pause_time);
            return Some(Fault::Pause);
        }
        if is_due(self.kill) {
            self.kill = after(self.schedule.kill);
            return Some(Fault::Kill);
        }
        if is_due(self.terminate) {
            self.terminate = after(self.schedule.terminate);
            return Some(Fault::Terminate);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_process_goes_on_before_it_is_killed() {
        let seconds = Duration::from_secs;
        let schedule = Schedule {
            kill: Some(seconds(3)),
            pause: Some(seconds(2)),
            pause_time: seconds(5),
            reload: Some(seconds(4)),
            ..Schedule::default()
        };
        let begun = Instant::now();
        let mut table = Timetable::new(schedule, begun);
        let mut seen = Vec::new();
        for second in 0..=10 {
            let now = begun + seconds(second);
            while let Some(fault) = table.next(now) {
                seen.push((second, fault));
            }
        }
        assert_eq!(
            seen,
            [
                (2, Fault::Pause),
                (4, Fault::Reload),
                (7, Fault::Resume),
                (7, Fault::Kill),
                (8, Fault::Reload),
                (9, Fault::Pause),
            ]
        );
    }
}
