//! The ledger: every message, its runs, and the outcome that its caller was given. A contradiction is a violation,
//! and the first one ends the run.

use std::collections::BTreeMap;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::ReplyError;
use skyring_codec::native::ErrorCode;

use super::counts::Counts;
use super::messages::{Answer, Command, answer_bytes, error_text};

/// How much later than its deadline a call may end, in milliseconds, while its process is not paused.
pub(super) const DEADLINE_SLACK_MS: Millis = 1;

/// A process: a node between a start and the next end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) node: usize,
    pub(super) generation: u32,
}

/// The outcome of a message for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A send, which has no outcome.
    Sent,
    /// A call that has not ended.
    Waiting,
    /// The service's answer or error came.
    Answered,
    /// A link answered it with an error of this kind.
    Refused(Option<ErrorCode>),
    Expired {
        may_have_run: bool,
    },
    Lost(LossCause),
    /// The answer is too large.
    TooLarge,
    /// The link refused it.
    NotTaken,
    /// The process of its caller has ended.
    Abandoned,
}

/// A message as its caller issued it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue {
    pub(super) caller: Process,
    pub(super) dialler: usize,
    pub(super) command: Command,
    pub(super) is_call: bool,
    pub(super) is_idempotent: bool,
    pub(super) issued: Millis,
    pub(super) deadline: Option<Millis>,
}

/// Why a call was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LossCause {
    /// Its connection broke, or its link was closed.
    Broken { may_have_run: bool },
    /// The process that it was sent to has ended.
    Restarted,
    /// The peer has dropped the session.
    Forgotten,
}

/// The entry of a message.
#[derive(Debug)]
struct Entry {
    issue: Issue,
    state: State,
    /// The acceptors that it ran at, and their processes.
    runs: Vec<(usize, Process)>,
    /// Its service has answered.
    is_answered: bool,
}

/// How a request arrived at a service.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) process: Process,
    pub(super) acceptor: usize,
    pub(super) is_native: bool,
    pub(super) session: u32,
    pub(super) remaining_ms: Option<u32>,
}

/// The ledger of a run; see the module documentation.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    waiting: usize,
    /// By dialler and acceptor: the message that ran last.
    last_runs: BTreeMap<(usize, usize), u64>,
    pub(super) counts: Counts,
    violation: Option<String>,
}

impl Ledger {
    /// The number for the next message.
    pub(super) fn next_message(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Calls that have not ended, of processes that are alive.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn fail(&mut self, violation: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(violation());
        }
    }

    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Enters a message that a link has accepted or refused.
    pub(super) fn enter(&mut self, issue: Issue, is_taken: bool) {
        let state = match (is_taken, issue.is_call) {
            (false, _) => State::NotTaken,
            (true, true) => State::Waiting,
            (true, false) => State::Sent,
        };
        self.counts.not_taken += u64::from(!is_taken);
        self.counts.calls += u64::from(state == State::Waiting);
        self.counts.sends += u64::from(state == State::Sent);
        self.waiting += usize::from(state == State::Waiting);
        self.entries.push(Entry {
            issue,
            state,
            runs: Vec::new(),
            is_answered: false,
        });
    }

    // ---- at the callee ----

    /// A service takes a request.
    pub(super) fn run(&mut self, now: Millis, command: &Command, arrival: &Arrival) {
        self.counts.runs += 1;
        let message = command.message;
        let Some(entry) = self.entries.get_mut(message as usize) else {
            return self.fail(|| format!("message {message} runs, but was never sent"));
        };
        let Issue {
            is_call,
            is_idempotent,
            dialler,
            ..
        } = entry.issue;
        let before = entry.runs.clone();
        entry.runs.push((arrival.acceptor, arrival.process));
        if entry.issue.command != *command {
            let sent = entry.issue.command;
            return self.fail(|| format!("message {message} arrives as {command:?}, sent was {sent:?}"));
        }
        if (arrival.session != 0) != is_call {
            return self.fail(|| format!("message {message} arrives with session {}", arrival.session));
        }
        // Only an idempotent call may run again, and never in the same session.
        let is_again = before.iter().any(|(acceptor, _)| *acceptor == arrival.acceptor);
        if is_again || (!before.is_empty() && !is_idempotent) {
            return self.fail(|| format!("message {message} runs again, after {before:?}"));
        }
        self.counts.run_again += u64::from(!before.is_empty());
        let may_run = match entry.state {
            State::Sent | State::Waiting | State::Abandoned => true,
            State::Expired { may_have_run } => may_have_run,
            State::Lost(LossCause::Broken { may_have_run }) => may_have_run,
            State::Lost(LossCause::Restarted | LossCause::Forgotten) => true,
            State::Answered | State::TooLarge | State::Refused(_) => is_idempotent,
            State::NotTaken => false,
        };
        if !may_run {
            let reported = entry.state;
            return self.fail(|| format!("message {message} runs, but its caller was given {reported:?}"));
        }
        self.check_time(now, message, arrival);
        self.check_order(message, dialler, arrival.acceptor, is_idempotent);
    }

    /// The remaining time of a call arrives at the callee, and never grows.
    fn check_time(&mut self, now: Millis, message: u64, arrival: &Arrival) {
        let Issue { issued, deadline, .. } = self.entries[message as usize].issue;
        let time = deadline.map(|deadline| deadline.saturating_sub(issued).max(1));
        let is_plausible = match (arrival.remaining_ms, time) {
            (Some(remaining), Some(time)) => remaining >= 1 && Millis::from(remaining) <= time,
            (Some(_), None) => false,
            (None, time) => !arrival.is_native || time.is_none(),
        };
        if !is_plausible {
            let remaining = arrival.remaining_ms;
            self.fail(|| {
                format!("message {message} has {time:?} ms from {issued} on, but arrives at {now} with {remaining:?}")
            });
        }
    }

    /// The messages of a dialler run in order: within a session, within a connection without one, and those of a later
    /// session or connection after those of the earlier ones.
    fn check_order(&mut self, message: u64, dialler: usize, acceptor: usize, is_idempotent: bool) {
        let earlier = self.last_runs.range((dialler, 0)..=(dialler, acceptor));
        let mut earlier = earlier.map(|((_, at), last)| (*at, *last));
        let ahead = earlier.rfind(|(at, last)| *last > message && (*at == acceptor || !is_idempotent));
        self.last_runs.insert((dialler, acceptor), message);
        if let Some((at, last)) = ahead {
            self.fail(|| format!("message {message} runs after {last}, which ran at acceptor {at}"));
        }
    }

    /// The service answers.
    pub(super) fn answer(&mut self, message: u64) {
        if let Some(entry) = self.entries.get_mut(message as usize) {
            entry.is_answered = true;
        }
    }

    // ---- at the caller ----

    /// A caller receives an answer.
    pub(super) fn reply(
        &mut self,
        now: Millis,
        process: Process,
        message: u64,
        result: Result<Bytes, ReplyError>,
        paused_until: Millis,
    ) {
        let Some(entry) = self.entries.get(message as usize) else {
            return self.fail(|| format!("an answer to message {message}, which was never sent"));
        };
        let (command, runs, is_answered) = (entry.issue.command, entry.runs.len(), entry.is_answered);
        let expected = match command.answer {
            Answer::Bytes(count) => Ok(answer_bytes(message, count)),
            Answer::Error | Answer::Never => Err(error_text(message)),
        };
        let is_own = match (&result, &expected) {
            (Ok(bytes), Ok(expected)) => bytes == expected,
            (Err(error), Err(expected)) => error.text == expected.as_bytes(),
            _ => false,
        };
        if is_own {
            let is_once = runs == 1 || (runs > 1 && entry.issue.is_idempotent);
            if !is_once || !is_answered {
                return self.fail(|| format!("message {message} was answered and ran {runs} times"));
            }
            self.counts.answered += 1;
            return self.end(now, process, message, State::Answered, paused_until);
        }
        let Err(error) = result else {
            return self
                .fail(|| format!("message {message} got the answer of another message, or a damaged one"));
        };
        let text = String::from_utf8_lossy(&error.text).into_owned();
        let known = [
            "too-large",
            "no-such-service",
            "name not found",
            "Invalid large req",
        ];
        if !known.iter().any(|start| text.starts_with(start)) {
            return self.fail(|| format!("message {message} got the error {text:?}"));
        }
        self.counts.refused += 1;
        self.end(now, process, message, State::Refused(error.code), paused_until);
    }

    /// A call expires.
    pub(super) fn expire(
        &mut self,
        now: Millis,
        process: Process,
        message: u64,
        may_have_run: bool,
        paused_until: Millis,
    ) {
        let entry = self.entries.get(message as usize);
        let deadline = entry.and_then(|entry| entry.issue.deadline);
        if deadline.is_none_or(|deadline| now < deadline) {
            return self.fail(|| format!("message {message} expires at {now}, its deadline is {deadline:?}"));
        }
        self.check_denial(message, may_have_run);
        self.counts.expired += 1;
        self.end(
            now,
            process,
            message,
            State::Expired { may_have_run },
            paused_until,
        );
    }

    /// A call is lost.
    pub(super) fn lose(
        &mut self,
        now: Millis,
        process: Process,
        message: u64,
        cause: LossCause,
        paused_until: Millis,
    ) {
        match cause {
            LossCause::Broken { may_have_run } => {
                self.check_denial(message, may_have_run);
                match may_have_run {
                    true => self.counts.lost_perhaps_run += 1,
                    false => self.counts.lost_not_run += 1,
                }
            }
            LossCause::Restarted => self.counts.restarted += 1,
            LossCause::Forgotten => self.counts.forgotten += 1,
        }
        self.end(now, process, message, State::Lost(cause), paused_until);
    }

    /// A caller must not be given "not run" for a message that ran.
    fn check_denial(&mut self, message: u64, may_have_run: bool) {
        let runs = self
            .entries
            .get(message as usize)
            .map_or(0, |entry| entry.runs.len());
        if runs > 0 && !may_have_run {
            self.fail(|| format!("message {message} ran, but its caller is given that it did not"));
        }
    }

    /// The answer to a call is too large.
    pub(super) fn answer_too_large(
        &mut self,
        now: Millis,
        process: Process,
        message: u64,
        paused_until: Millis,
    ) {
        let runs = self
            .entries
            .get(message as usize)
            .map_or(0, |entry| entry.runs.len());
        if runs == 0 {
            return self.fail(|| format!("message {message} has an answer that is too large, but never ran"));
        }
        self.counts.too_large += 1;
        self.end(now, process, message, State::TooLarge, paused_until);
    }

    /// Ends a call, which must be the first time and in time. The process was paused until `paused_until`.
    fn end(&mut self, now: Millis, process: Process, message: u64, state: State, paused_until: Millis) {
        let Some(entry) = self.entries.get_mut(message as usize) else {
            return self.fail(|| format!("an event of message {message}, which was never sent"));
        };
        if entry.issue.caller != process {
            return self.fail(|| format!("message {message} ends at another process"));
        }
        if entry.state != State::Waiting {
            let before = entry.state;
            return self.fail(|| format!("message {message} ends with {state:?} after {before:?}"));
        }
        entry.state = state;
        self.waiting -= 1;
        if let Some(deadline) = entry.issue.deadline
            && now > deadline.max(paused_until) + DEADLINE_SLACK_MS
        {
            self.fail(|| format!("message {message} ends at {now}, its deadline was {deadline}"));
        }
    }

    /// A process has ended, and so have its calls.
    pub(super) fn abandon(&mut self, process: Process) {
        for entry in &mut self.entries {
            if entry.issue.caller == process && entry.state == State::Waiting {
                entry.state = State::Abandoned;
                self.waiting -= 1;
            }
        }
    }

    // ---- at the end ----

    /// The first call that still waits.
    pub(super) fn first_waiting(&self) -> Option<String> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.state == State::Waiting)?;
        let Issue {
            command,
            dialler,
            issued,
            deadline,
            ..
        } = entry.issue;
        let message = command.message;
        Some(format!(
            "message {message} of dialler {dialler}, issued at {issued} ms, deadline {deadline:?}, has no end"
        ))
    }

    /// The checks at the end of a run: no message has run that was reported as not run or refused, and every answered
    /// one has.
    pub(super) fn close(&mut self) {
        let wrong = self.entries.iter().find(|entry| {
            let runs = entry.runs.len();
            match entry.state {
                State::Lost(LossCause::Broken { may_have_run: false })
                | State::Expired { may_have_run: false }
                | State::NotTaken => runs > 0,
                State::Answered | State::TooLarge => runs == 0,
                _ => false,
            }
        });
        if let Some(entry) = wrong {
            let (message, state, runs) = (entry.issue.command.message, entry.state, &entry.runs);
            let text = format!("message {message} ended with {state:?} and ran at {runs:?}");
            self.fail(|| text);
        }
    }
}
