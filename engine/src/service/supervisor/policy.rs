//! The policy of a supervisor: what to start, to stop and to give up, and when. No clock, no randomness and no services of
//! its own: events, the time and random numbers go in; actions and the next deadline come out.
//!
//! Children start in order, one after the other, and stop in reverse order. After a restart is due, one-for-one starts
//! only that child; the other strategies first stop the others in reverse order, and start them again in order.
//!
//! Invariants: a child is started only while it is down, and stopped only while it runs; within any period there are no
//! more restarts than the intensity; when the supervisor is done, every child is down.

use std::collections::VecDeque;

use skyring_codec::Millis;

use crate::config::{Restart, Strategy};
use crate::service::end::End;
use crate::service::supervisor::backoff::Backoff;

/// What a supervisor is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Start the child with this number.
    Start(usize),
    /// Stop it; `is_kept`: it is started again.
    Stop { child: usize, is_kept: bool },
    /// End it: it did not stop in time.
    Kill(usize),
    /// It will not be started again, although it may look so: free its names.
    GiveUp(usize),
    /// Every child has been started.
    Ready,
    /// Every child is down, and the supervisor ends.
    Done(Reason),
}

/// Why a supervisor ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// It was asked to.
    Asked,
    /// Its children have ended too often; the text says which and how often.
    Escalated(String),
    /// A child did not start the first time.
    StartFailed(String),
}

/// The rules of one child.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) restart: Restart,
    pub(super) backoff: Backoff,
    pub(super) stop_timeout_ms: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down,
    Starting,
    Running,
    Stopping { deadline: Millis, is_killed: bool },
}

#[derive(Debug)]
struct Child {
    rules: Rules,
    state: State,
    /// Whether it should run.
    is_wanted: bool,
    /// It is stopped before it is started again, because another one has ended.
    is_reset: bool,
    /// When it may start.
    not_before: Millis,
    started_at: Millis,
    /// Restarts in a row, each soon after the one before.
    attempts: u32,
}

enum Phase {
    /// The first start.
    Beginning,
    Running,
    Ending(Reason),
    Done,
}

/// The policy of one supervisor.
pub(super) struct Policy {
    strategy: Strategy,
    intensity: usize,
    period_ms: Millis,
    children: Vec<Child>,
    /// When the last restarts were, the oldest first; `intensity` at most.
    restarts: VecDeque<Millis>,
    restart_count: u64,
    phase: Phase,
    actions: VecDeque<Action>,
}

impl Policy {
    /// At most `intensity` restarts in `period_ms`.
    pub(super) fn new(strategy: Strategy, intensity: usize, period_ms: Millis, rules: Vec<Rules>) -> Policy {
        let child = |rules| Child {
            rules,
            state: State::Down,
            is_wanted: true,
            is_reset: false,
            not_before: 0,
            started_at: 0,
            attempts: 0,
        };
        Policy {
            strategy,
            intensity,
            period_ms,
            children: rules.into_iter().map(child).collect(),
            restarts: VecDeque::new(),
            restart_count: 0,
            phase: Phase::Beginning,
            actions: VecDeque::new(),
        }
    }

    /// The next action. Take all after each event.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Starts the children.
    pub(super) fn begin(&mut self, now: Millis) {
        self.advance(now);
    }

    /// A child that was to be started runs.
    pub(super) fn started(&mut self, child: usize, now: Millis) {
        if let Some(entry) = self.children.get_mut(child)
            && entry.state == State::Starting
        {
            entry.state = State::Running;
            entry.started_at = now;
        }
        self.advance(now);
    }

    /// A child that was to be started did not start. `random` is any number.
    pub(super) fn start_failed(&mut self, child: usize, text: &str, now: Millis, random: u64) {
        if self.set_down(child) {
            if matches!(self.phase, Phase::Beginning) {
                self.actions.push_back(Action::GiveUp(child));
                self.phase = Phase::Ending(Reason::StartFailed(text.to_owned()));
            } else if matches!(self.phase, Phase::Running) {
                let end = End::StartFailed { text: text.into() };
                self.child_down(child, &end, now, random);
            }
        }
        self.advance(now);
    }

    /// A child that ran has ended. `random` is any number.
    pub(super) fn ended(&mut self, child: usize, end: &End, now: Millis, random: u64) {
        let was_stopping = self
            .children
            .get(child)
            .is_some_and(|entry| matches!(entry.state, State::Stopping { .. }));
        let is_due = self.set_down(child) && !matches!(self.phase, Phase::Ending(_) | Phase::Done);
        if is_due && !was_stopping {
            self.child_down(child, end, now, random);
        } else if let Some(entry) = self.children.get_mut(child) {
            // One that is never restarted is not restarted because of another one either.
            entry.is_wanted &= entry.rules.restart != Restart::Never;
        }
        self.advance(now);
    }

    /// The supervisor is to end.
    pub(super) fn stop(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Beginning | Phase::Running) {
            self.phase = Phase::Ending(Reason::Asked);
        }
        self.advance(now);
    }

    /// A deadline may have passed.
    pub(super) fn wake(&mut self, now: Millis) {
        for (number, child) in self.children.iter_mut().enumerate() {
            if let State::Stopping { deadline, is_killed } = &mut child.state
                && !*is_killed
                && *deadline <= now
            {
                *is_killed = true;
                self.actions.push_back(Action::Kill(number));
            }
        }
        self.advance(now);
    }

    /// The next time after `now` at which `wake` has something to do.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let is_ending = matches!(self.phase, Phase::Ending(_) | Phase::Done);
        let deadlines = self.children.iter().filter_map(|child| match child.state {
            State::Stopping {
                deadline,
                is_killed: false,
            } => Some(deadline),
            // One that is due waits for another one, which is an event.
            State::Down if child.is_wanted && !is_ending && child.not_before > now => Some(child.not_before),
            _ => None,
        });
        deadlines.min()
    }

    /// How many restarts it has decided on so far.
    pub(super) fn restart_count(&self) -> u64 {
        self.restart_count
    }

    /// How long a child that is down waits for its start, in milliseconds.
    pub(super) fn delay_ms(&self, child: usize, now: Millis) -> Millis {
        let not_before = self.children.get(child).map_or(0, |child| child.not_before);
        not_before.saturating_sub(now)
    }

    /// The times of the restarts that count.
    #[cfg(test)]
    pub(super) fn restarts(&self) -> &VecDeque<Millis> {
        &self.restarts
    }

    /// What a console shows of a child.
    pub(super) fn state_name(&self, child: usize) -> &'static str {
        match self.children.get(child) {
            Some(child) => match child.state {
                State::Running => "running",
                State::Starting => "starting",
                State::Stopping { .. } => "stopping",
                State::Down if child.is_wanted => "waiting",
                State::Down => "ended",
            },
            None => "unknown",
        }
    }

    /// Notes that a child is down; returns false when it was before.
    fn set_down(&mut self, child: usize) -> bool {
        let Some(entry) = self.children.get_mut(child) else {
            return false;
        };
        std::mem::replace(&mut entry.state, State::Down) != State::Down
    }

    /// A child is down that was not stopped: restarts it, or gives it up, or everything.
    fn child_down(&mut self, child: usize, end: &End, now: Millis, random: u64) {
        let Some(entry) = self.children.get_mut(child) else {
            return;
        };
        let is_reset = std::mem::take(&mut entry.is_reset);
        if !entry.rules.restart.restarts_after(end) {
            entry.is_wanted = false;
            return;
        }
        if is_reset {
            return;
        }
        let period_ms = self.period_ms;
        let is_old = |time: &Millis| now.saturating_sub(*time) >= period_ms;
        while self.restarts.front().is_some_and(is_old) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.intensity {
            entry.is_wanted = false;
            self.actions.push_back(Action::GiveUp(child));
            self.phase = Phase::Ending(Reason::Escalated(format!(
                "more than {} restarts within {} ms, the last one because of child {child}: {end}",
                self.intensity, self.period_ms
            )));
            return;
        }
        self.restarts.push_back(now);
        self.restart_count += 1;
        if now.saturating_sub(entry.started_at) >= self.period_ms {
            entry.attempts = 0;
        }
        entry.attempts = entry.attempts.saturating_add(1);
        entry.not_before = now + entry.rules.backoff.delay_ms(entry.attempts, random);
        let reset = match self.strategy {
            Strategy::OneForOne => return,
            Strategy::RestForOne => child + 1..self.children.len(),
            Strategy::All => 0..self.children.len(),
        };
        for other in &mut self.children[reset] {
            other.is_reset = other.state != State::Down;
        }
    }

    /// Does what is possible now.
    fn advance(&mut self, now: Millis) {
        match self.phase {
            Phase::Ending(_) => return self.advance_end(now),
            Phase::Done => return,
            Phase::Beginning | Phase::Running => {}
        }
        // Those that were stopped for a restart are down: nothing holds them any longer.
        for child in &mut self.children {
            child.is_reset &= child.state != State::Down;
        }
        if let Some(last) = self.children.iter().rposition(|child| child.is_reset) {
            return self.stop_child(last, true, now);
        }
        let is_in_order =
            matches!(self.phase, Phase::Beginning) || !matches!(self.strategy, Strategy::OneForOne);
        if is_in_order && self.children.iter().any(|child| child.state == State::Starting) {
            return;
        }
        for (number, child) in self.children.iter_mut().enumerate() {
            if !child.is_wanted || child.state == State::Running {
                continue;
            }
            if child.state == State::Down && child.not_before <= now {
                child.state = State::Starting;
                self.actions.push_back(Action::Start(number));
            }
            if is_in_order {
                return;
            }
        }
        let is_up = |child: &Child| !child.is_wanted || child.state == State::Running;
        if matches!(self.phase, Phase::Beginning) && self.children.iter().all(is_up) {
            self.phase = Phase::Running;
            self.actions.push_back(Action::Ready);
        }
    }

    /// Stops the last child that is not down.
    fn advance_end(&mut self, now: Millis) {
        let last = self.children.iter().rposition(|child| child.state != State::Down);
        if let Some(last) = last {
            return self.stop_child(last, false, now);
        }
        if let Phase::Ending(reason) = std::mem::replace(&mut self.phase, Phase::Done) {
            for child in (0..self.children.len()).rev() {
                self.actions.push_back(Action::GiveUp(child));
            }
            self.actions.push_back(Action::Done(reason));
        }
    }

    /// Stops a child, if it runs. One that starts is stopped once it runs.
    fn stop_child(&mut self, number: usize, is_kept: bool, now: Millis) {
        let Some(child) = self.children.get_mut(number) else {
            return;
        };
        if child.state == State::Running {
            let deadline = now.saturating_add(child.rules.stop_timeout_ms);
            child.state = State::Stopping {
                deadline,
                is_killed: false,
            };
            let is_kept = is_kept && child.rules.restart != Restart::Never;
            self.actions.push_back(Action::Stop {
                child: number,
                is_kept,
            });
        }
    }
}
