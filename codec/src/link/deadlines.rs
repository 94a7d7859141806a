//! The deadlines of the outstanding calls of a link.
//!
//! Time is counted in milliseconds, and a busy channel begins thousands of calls in one. Successive calls with the
//! same deadline form a group with one timer, so most calls cost an increment and no entry in the wheel.
//!
//! Invariants: a group contains the sessions from `first` to `last` whose calls name it, and `live` of them are
//! outstanding; an empty group is removed together with its timer; a session expires at its deadline or later,
//! never before.

use super::sessions::Sessions;
use crate::Millis;
use crate::wheel::{TimerKey, TimerWheel};

/// The largest gap between two neighbours of a group: numbers that were assigned otherwise meanwhile.
const GAP_MAX: u32 = 16;

/// Groups whose memory is retained after a burst.
const KEPT_GROUPS_MAX: usize = 1024;

/// Identifies a group, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupKey(u32);

impl GroupKey {
    /// The key of a call without a deadline.
    pub(super) const NONE: GroupKey = GroupKey(u32::MAX);
}

#[derive(Debug)]
struct Group {
    deadline: Millis,
    /// The first session that was not returned yet.
    first: u32,
    last: u32,
    live: u32,
    timer: TimerKey,
}

/// The deadlines of outstanding calls. See the module documentation.
#[derive(Debug)]
pub(super) struct Deadlines {
    wheel: TimerWheel<GroupKey>,
    groups: Vec<Group>,
    /// Free entries of `groups`.
    free: Vec<GroupKey>,
    /// The group that the next call joins, if it can.
    newest: GroupKey,
    /// The group whose deadline has passed, while sessions of it are left.
    expiring: GroupKey,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self {
            wheel: TimerWheel::new(0),
            groups: Vec::new(),
            free: Vec::new(),
            newest: GroupKey::NONE,
            expiring: GroupKey::NONE,
        }
    }

    /// Adds a session; returns the group that its call must name.
    #[inline]
    pub(super) fn add(&mut self, session: u32, deadline: Millis) -> GroupKey {
        if let Some(group) = self.groups.get_mut(self.newest.0 as usize)
            && group.deadline == deadline
            && session.wrapping_sub(group.last) <= GAP_MAX
        {
            group.last = session;
            group.live += 1;
            return self.newest;
        }
        self.begin(session, deadline)
    }

    #[inline(never)]
    fn begin(&mut self, session: u32, deadline: Millis) -> GroupKey {
        // There are at most as many groups as calls, whose number is bounded.
        let key = self.free.pop().unwrap_or(GroupKey(self.groups.len() as u32));
        let group = Group {
            deadline,
            first: session,
            last: session,
            live: 1,
            timer: self.wheel.insert(deadline, key),
        };
        match self.groups.get_mut(key.0 as usize) {
            Some(free) => *free = group,
            None => self.groups.push(group),
        }
        self.newest = key;
        key
    }

    /// A call of this group has ended.
    #[inline]
    pub(super) fn remove(&mut self, key: GroupKey) {
        if let Some(group) = self.groups.get_mut(key.0 as usize) {
            group.live -= 1;
            if group.live == 0 {
                self.end(key);
            }
        }
    }

    #[inline(never)]
    fn end(&mut self, key: GroupKey) {
        self.wheel.cancel(self.groups[key.0 as usize].timer);
        for kept in [&mut self.newest, &mut self.expiring] {
            if *kept == key {
                *kept = GroupKey::NONE;
            }
        }
        self.free.push(key);
        if self.free.len() == self.groups.len() && self.groups.len() > KEPT_GROUPS_MAX {
            self.groups = Vec::new();
            self.free = Vec::new();
        }
    }

    /// A session whose deadline is at or before `now`; None when there is none. End its call before the next poll.
    /// Earlier deadlines come first, and within one millisecond the calls that began first.
    #[inline]
    pub(super) fn poll(&mut self, now: Millis, sessions: &Sessions) -> Option<u32> {
        if self.expiring == GroupKey::NONE {
            self.expiring = self.wheel.poll(now)?;
        }
        self.next_expired(now, sessions)
    }

    #[inline(never)]
    fn next_expired(&mut self, now: Millis, sessions: &Sessions) -> Option<u32> {
        loop {
            let key = self.expiring;
            let group = &mut self.groups[key.0 as usize];
            while group.first <= group.last {
                let session = group.first;
                group.first += 1;
                if sessions.get(session).is_some_and(|call| call.deadline == key) {
                    return Some(session);
                }
            }
            // The calls that were returned have not been ended.
            self.end(key);
            self.expiring = self.wheel.poll(now)?;
        }
    }

    /// When to poll next; see [`TimerWheel::next_deadline`].
    pub(super) fn next(&self) -> Option<Millis> {
        match self.groups.get(self.expiring.0 as usize) {
            Some(expiring) => Some(expiring.deadline),
            None => self.wheel.next_deadline(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::sessions::Call;

    struct Calls {
        sessions: Sessions,
        deadlines: Deadlines,
    }

    impl Calls {
        fn new() -> Self {
            Self {
                sessions: Sessions::starting_at(1),
                deadlines: Deadlines::new(),
            }
        }

        fn begin(&mut self, deadline: Millis) -> u32 {
            let session = self.sessions.next_number();
            let call = Call {
                token: 0,
                number: 0,
                deadline: self.deadlines.add(session, deadline),
            };
            self.sessions.insert(session, call);
            session
        }

        fn end(&mut self, session: u32) {
            if let Some(call) = self.sessions.remove(session) {
                self.deadlines.remove(call.deadline);
            }
        }

        fn expire(&mut self, now: Millis) -> Vec<u32> {
            let mut expired = Vec::new();
            while let Some(session) = self.deadlines.poll(now, &self.sessions) {
                self.end(session);
                expired.push(session);
            }
            expired
        }

        fn timers(&self) -> (usize, Option<Millis>) {
            (self.deadlines.wheel.len(), self.deadlines.next())
        }
    }

    #[test]
    fn calls_of_one_millisecond_share_a_timer_and_expire_in_their_order() {
        let mut calls = Calls::new();
        let first: Vec<_> = (0..100).map(|_| calls.begin(30)).collect();
        let second: Vec<_> = (0..100).map(|_| calls.begin(31)).collect();
        assert_eq!(calls.timers(), (2, Some(30)));
        for session in first.iter().step_by(2) {
            calls.end(*session);
        }
        assert!(calls.expire(29).is_empty());
        let left: Vec<_> = first.into_iter().skip(1).step_by(2).collect();
        assert_eq!(calls.expire(30), left);
        assert_eq!(calls.timers(), (1, Some(31)));
        assert_eq!(calls.expire(1_000), second);
        assert_eq!(calls.timers(), (0, None));
    }

    #[test]
    fn no_timer_is_left_when_all_have_ended() {
        let mut calls = Calls::new();
        for deadline in [30, 30, 31, 30, 30] {
            calls.begin(deadline);
        }
        assert_eq!(calls.timers().0, 3);
        for session in [5, 1, 3, 2] {
            calls.end(session);
        }
        assert_eq!(calls.timers().0, 1);
        calls.end(4);
        assert_eq!(calls.timers(), (0, None));
        // The free entries are reused.
        calls.begin(40);
        assert_eq!((calls.deadlines.groups.len(), calls.expire(40)), (3, vec![6]));
    }

    #[test]
    fn a_call_that_begins_while_its_group_expires_is_not_lost() {
        let mut calls = Calls::new();
        let [one, two] = [calls.begin(10), calls.begin(10)];
        let expired = calls.deadlines.poll(10, &calls.sessions);
        assert_eq!(expired, Some(one));
        // It joins the group although the timer of the group has expired.
        let three = calls.begin(10);
        assert_eq!(calls.timers().1, Some(10));
        calls.end(one);
        calls.end(two);
        assert_eq!(calls.expire(10), [three]);
        assert_eq!(calls.timers(), (0, None));
    }

    #[test]
    fn numbers_that_are_not_successive_form_several_groups() {
        let mut calls = Calls::new();
        calls.sessions = Sessions::starting_at(crate::skynet::SESSION_MAX - 1);
        let begun: Vec<_> = (0..4).map(|_| calls.begin(10)).collect();
        for _ in 0..=GAP_MAX {
            calls.sessions.next_number();
        }
        let far = calls.begin(10);
        assert_eq!(calls.timers().0, 3);
        let mut expired = calls.expire(10);
        expired.sort_unstable();
        let mut all = [begun, vec![far]].concat();
        all.sort_unstable();
        assert_eq!(expired, all);
    }

    #[test]
    fn the_memory_of_a_burst_is_freed() {
        let mut calls = Calls::new();
        let begun: Vec<_> = (0..10_000).map(|deadline| calls.begin(deadline)).collect();
        assert_eq!(calls.deadlines.groups.len(), 10_000);
        for session in begun {
            calls.end(session);
        }
        assert_eq!((calls.deadlines.groups.len(), calls.timers()), (0, (0, None)));
    }
}
