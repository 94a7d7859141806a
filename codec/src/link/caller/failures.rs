//! Calls that are lost, and messages that are not sent any more.

use super::{Call, CallerEvent, CallerLink, is_wanted, release};

/// The event of a lost call.
pub(super) fn lost(token: u64, may_have_run: bool) -> CallerEvent {
    CallerEvent::Lost { token, may_have_run }
}

impl CallerLink {
    /// Loses every outstanding call and drops every queued message, but keeps the connection: for a peer that the
    /// caller no longer waits for.
    pub fn abandon(&mut self) {
        // Messages in the out-buffer are still transmitted.
        let first = self.queue.first_waiting_number();
        self.lose(first, |_| true, lost);
        self.queue.clear(|message| {
            self.sends_dropped += u64::from(message.session == 0);
            release(&mut self.names, message);
        });
        self.stale = 0;
    }

    /// Ends the calls that satisfy `condition`, in the order in which they were accepted. `event` creates the event
    /// of each from its token and whether it may have run, which holds for calls with a number below `first`.
    pub(super) fn lose(
        &mut self,
        first: u64,
        condition: impl Fn(&Call) -> bool,
        event: impl Fn(u64, bool) -> CallerEvent,
    ) {
        for session in self.sessions.select(condition) {
            let is_repeated = |call: &Call| self.resume.is_repeated(call.number);
            let is_repeated = self.sessions.get(session).is_some_and(is_repeated);
            if let Some(Call { token, number, .. }) = self.end(session) {
                self.failures.push_back(event(
                    token,
                    (is_repeated || number < first) && !fault!(RunDenied),
                ));
            }
        }
    }

    /// Loses the calls that were begun: those whose number is below `first`.
    pub(super) fn lose_begun(&mut self) {
        let first = self.queue.first_number();
        self.lose(first, |call| call.number < first, lost);
    }

    /// Drops the messages whose calls have ended.
    pub(super) fn drop_unwanted(&mut self) {
        self.queue.wait(|message| {
            let is_wanted = is_wanted(&self.sessions, message);
            if !is_wanted {
                release(&mut self.names, message);
            }
            is_wanted
        });
        self.stale = 0;
    }
}
