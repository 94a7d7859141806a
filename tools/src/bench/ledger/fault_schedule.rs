//! When the faults of the callee's process and the reloads of the map are due.

use std::time::{Duration, Instant};

/// The time between two faults of each kind; `None` = never.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultSchedule {
    /// SIGKILL and restart.
    pub(super) kill: Option<Duration>,
    /// Time from SIGKILL to the restart.
    pub(super) down_time: Duration,
    /// SIGTERM and restart.
    pub(super) terminate: Option<Duration>,
    /// SIGSTOP.
    pub(super) pause: Option<Duration>,
    /// Time from SIGSTOP to SIGCONT.
    pub(super) pause_time: Duration,
    /// A reload of the map with another address.
    pub(super) reload: Option<Duration>,
}

/// A fault of the process, or a change of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// End the process with SIGKILL.
    Kill,
    /// Restart the process that was killed.
    Restart,
    /// Stop the process gracefully, with SIGTERM, and restart it.
    Terminate,
    /// Pause the process with SIGSTOP.
    Pause,
    /// Resume the process with SIGCONT.
    Resume,
    /// Reload the map with another address.
    Reload,
}

/// The due times of the next faults.
#[derive(Debug)]
pub(super) struct Timetable {
    schedule: FaultSchedule,
    kill: Option<Instant>,
    restart: Option<Instant>,
    terminate: Option<Instant>,
    pause: Option<Instant>,
    resume: Option<Instant>,
    reload: Option<Instant>,
}

impl Timetable {
    pub(super) fn new(schedule: FaultSchedule, now: Instant) -> Timetable {
        let after = |interval: Option<Duration>| interval.map(|interval| now + interval);
        Timetable {
            kill: after(schedule.kill),
            restart: None,
            terminate: after(schedule.terminate),
            pause: after(schedule.pause),
            resume: None,
            reload: after(schedule.reload),
            schedule,
        }
    }

    /// Takes the next fault that is due. A paused process is not killed or stopped before it is resumed, and nothing is done
    /// to a killed one before it is restarted.
    pub(super) fn next(&mut self, now: Instant) -> Option<Fault> {
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let after = |interval: Option<Duration>| interval.map(|interval| now + interval);
        if is_due(self.resume) {
            self.resume = None;
            self.pause = after(self.schedule.pause);
            return Some(Fault::Resume);
        }
        if is_due(self.restart) {
            self.restart = None;
            self.kill = after(self.schedule.kill);
            return Some(Fault::Restart);
        }
        if is_due(self.reload) {
            self.reload = after(self.schedule.reload);
            return Some(Fault::Reload);
        }
        if self.resume.is_some() || self.restart.is_some() {
            return None;
        }
        if is_due(self.pause) {
            self.pause = None;
            self.resume = Some(now + self.schedule.pause_time);
            return Some(Fault::Pause);
        }
        if is_due(self.kill) {
            self.kill = None;
            self.restart = Some(now + self.schedule.down_time);
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
    fn a_paused_process_is_resumed_before_it_is_killed() {
        let seconds = Duration::from_secs;
        let schedule = FaultSchedule {
            kill: Some(seconds(3)),
            down_time: seconds(1),
            pause: Some(seconds(2)),
            pause_time: seconds(5),
            reload: Some(seconds(4)),
            ..FaultSchedule::default()
        };
        let started = Instant::now();
        let mut table = Timetable::new(schedule, started);
        let mut seen = Vec::new();
        for second in 0..=10 {
            let now = started + seconds(second);
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
                (8, Fault::Restart),
                (8, Fault::Reload),
                (9, Fault::Pause),
            ]
        );
    }
}
