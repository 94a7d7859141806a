//! Detects whether the peer of a connection still shows signs of life.
//!
//! Any received bytes are a sign of life, and so is what the peer has sent on another connection, as long as this one waits
//! for nothing: two nodes need one ping between them, however many connections they have. After an interval without any a ping is due; at most one ping is in
//! flight. After twice the interval the peer is *quiet*, and after the configured limit the connection is *silent*
//! and must be closed.
//!
//! Invariants:
//! - a connection is silent only if a ping was due on it and had the rest of the limit for its answer, an interval at least;
//! - a connection that waits for something is judged by what it receives itself;
//! - time without a poll does not count: a process that was itself stopped does not find its peers silent when it
//!   continues;
//! - each state is reported once, when it begins.

use crate::Millis;

/// The largest interval in settings, in milliseconds. An hour is as good as no heartbeat.
pub const HEARTBEAT_MS_MAX: Millis = 3_600_000;

/// The limits of the heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatLimits {
    /// After this time without a sign of life a ping is sent, in milliseconds; 0 turns the heartbeat off.
    pub interval_ms: Millis,
    /// After this time without a sign of life the connection is silent, in milliseconds; values below twice the
    /// interval count as that.
    pub silence_ms_max: Millis,
    /// How much longer than the interval a connection that waits for nothing delays its ping, in milliseconds, because
    /// another one of the same two nodes has its turn; at most half of the interval counts.
    pub turn_ms: Millis,
}

impl HeartbeatLimits {
    /// No heartbeat.
    pub const OFF: HeartbeatLimits = HeartbeatLimits {
        interval_ms: 0,
        silence_ms_max: 0,
        turn_ms: 0,
    };
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing.
    Wait,
    /// A ping with this session.
    Ping(u32),
    /// To report that the peer is quiet.
    Quiet,
    /// To report that the peer is no longer quiet.
    Heard,
    /// To close the connection; the time without a sign of life.
    Silent(Millis),
}

/// The heartbeat of one connection. See the module documentation.
#[derive(Debug)]
pub(super) struct Heartbeat {
    limits: HeartbeatLimits,
    is_running: bool,
    /// When the last sign of life was received.
    heard: Millis,
    /// When it was polled last.
    polled: Millis,
    /// Bytes were received since the last poll.
    is_fresh: bool,
    /// A ping is in flight.
    is_pinged: bool,
    /// When the last one was due.
    pinged_at: Millis,
    is_quiet: bool,
    /// The session of the last ping.
    session: u32,
    pings: u64,
    pongs: u64,
}

impl Heartbeat {
    pub(super) fn new(limits: HeartbeatLimits) -> Self {
        Self {
            limits,
            is_running: false,
            heard: 0,
            polled: 0,
            is_fresh: false,
            is_pinged: false,
            pinged_at: 0,
            is_quiet: false,
            session: 0,
            pings: 0,
            pongs: 0,
        }
    }

    /// The handshake is complete.
    pub(super) fn start(&mut self, now: Millis) {
        self.is_running = self.limits.interval_ms > 0;
        (self.heard, self.polled) = (now, now);
        (self.is_fresh, self.is_pinged, self.is_quiet) = (false, false, false);
    }

    /// The connection has ended.
    pub(super) fn stop(&mut self) {
        self.is_running = false;
        self.is_pinged = false;
    }

    /// Bytes were received: counts as a sign of life at the next poll.
    #[inline]
    pub(super) fn note(&mut self) {
        self.is_fresh = true;
    }

    pub(super) fn set_turn(&mut self, turn_ms: Millis) {
        self.limits.turn_ms = turn_ms;
    }

    /// The peer was heard at this time on another connection.
    pub(super) fn hear_elsewhere(&mut self, at: Millis) {
        self.heard = self.heard.max(at);
    }

    /// The peer has answered a ping with this session; false when no such ping is in flight.
    pub(super) fn take_pong(&mut self, session: u32) -> bool {
        let is_answer = self.is_pinged && session == self.session;
        if is_answer {
            self.is_pinged = false;
            self.pongs += 1;
        }
        is_answer
    }

    /// What is due now. Poll until nothing is, because states change one at a time. None after an interval without a sign
    /// of life: then [`Heartbeat::poll_silent`] tells.
    #[inline]
    pub(super) fn poll(&mut self, now: Millis) -> Option<Beat> {
        if !self.is_running {
            return Some(Beat::Wait);
        }
        if self.is_fresh {
            self.is_fresh = false;
            (self.heard, self.polled) = (now, now);
            if std::mem::replace(&mut self.is_quiet, false) {
                return Some(Beat::Heard);
            }
            return Some(Beat::Wait);
        }
        if now.saturating_sub(self.heard) < self.limits.interval_ms {
            self.polled = now;
            if std::mem::replace(&mut self.is_quiet, false) {
                return Some(Beat::Heard);
            }
            return Some(Beat::Wait);
        }
        None
    }

    /// What is due after an interval without a sign of life. `is_idle`: the connection waits for nothing.
    #[inline(never)]
    pub(super) fn poll_silent(&mut self, now: Millis, is_idle: bool) -> Beat {
        let interval = self.limits.interval_ms;
        let unpolled = now.saturating_sub(self.polled);
        self.polled = now;
        if unpolled > interval * 2 {
            // Nothing was polled for so long: signs of life may have been received meanwhile.
            self.heard += unpolled;
        }
        let silence = now.saturating_sub(self.heard);
        if silence < interval {
            return Beat::Wait;
        }
        if !self.is_pinged {
            if now < self.ping_at(is_idle) {
                return Beat::Wait;
            }
            self.is_pinged = true;
            self.pinged_at = now;
            self.session = (self.session + 1) & (u32::MAX >> 1);
            self.pings += 1;
            return Beat::Ping(self.session);
        }
        if now >= self.silent_at() {
            return Beat::Silent(silence);
        }
        if now >= self.quiet_at() && !self.is_quiet {
            self.is_quiet = true;
            return Beat::Quiet;
        }
        Beat::Wait
    }

    /// The ping is sent with another session than the proposed one.
    pub(super) fn set_session(&mut self, session: u32) {
        self.session = session;
    }

    /// When a ping is due, if there is no sign of life before.
    fn ping_at(&self, is_idle: bool) -> Millis {
        let interval = self.limits.interval_ms;
        match is_idle {
            true => self.heard + interval + self.limits.turn_ms.min(interval / 2),
            false => self.heard + interval,
        }
    }

    /// When the peer is quiet: a ping had an interval for its answer.
    fn quiet_at(&self) -> Millis {
        let interval = self.limits.interval_ms;
        (self.heard + interval * 2).max(self.pinged_at + interval)
    }

    /// When the connection is silent.
    fn silent_at(&self) -> Millis {
        let interval = self.limits.interval_ms;
        (self.heard + self.limits.silence_ms_max.max(interval * 2)).max(self.pinged_at + interval)
    }

    /// When to poll next. `is_idle`: the connection waits for nothing. Then the time is a multiple of a quarter of the
    /// interval, so that the connections of a node are polled together, and it wakes up less often.
    pub(super) fn deadline(&self, is_idle: impl FnOnce() -> bool) -> Option<Millis> {
        if !self.is_running {
            return None;
        }
        let interval = self.limits.interval_ms;
        // Never much later than an interval after the last poll, or the time between polls would count as a pause.
        let latest = self.polled + interval;
        Some(match (self.is_pinged, self.is_quiet) {
            (false, _) if is_idle() => {
                let grid = (interval / 4).max(1);
                self.ping_at(true).min(latest).next_multiple_of(grid)
            }
            (false, _) => self.ping_at(false).min(latest),
            (true, false) => self.quiet_at().min(latest),
            (true, true) => self.silent_at().min(latest),
        })
    }

    /// How many pings were due so far.
    pub(super) fn pings(&self) -> u64 {
        self.pings
    }

    /// How many pings were answered.
    pub(super) fn pongs(&self) -> u64 {
        self.pongs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Heartbeat {
        let mut heartbeat = Heartbeat::new(HeartbeatLimits {
            interval_ms: 500,
            silence_ms_max: 2_000,
            turn_ms: 0,
        });
        heartbeat.start(1_000);
        heartbeat
    }

    fn poll(heartbeat: &mut Heartbeat, now: Millis) -> Beat {
        poll_as(heartbeat, now, false)
    }

    fn poll_as(heartbeat: &mut Heartbeat, now: Millis, is_idle: bool) -> Beat {
        heartbeat
            .poll(now)
            .unwrap_or_else(|| heartbeat.poll_silent(now, is_idle))
    }

    /// The beats at the heartbeat's own deadlines until `end`, with their times.
    fn beats_until(heartbeat: &mut Heartbeat, end: Millis) -> Vec<(Millis, Beat)> {
        let mut beats = Vec::new();
        while let Some(now) = heartbeat.deadline(|| false).filter(|now| *now <= end) {
            match poll(heartbeat, now) {
                Beat::Wait => {}
                beat => beats.push((now, beat)),
            }
            if let Some((_, Beat::Silent(_))) = beats.last() {
                break;
            }
        }
        beats
    }

    #[test]
    fn a_peer_that_stops_is_pinged_then_quiet_then_silent() {
        let beats = beats_until(&mut watched(), 60_000);
        let expected = [
            (1_500, Beat::Ping(1)),
            (2_000, Beat::Quiet),
            (3_000, Beat::Silent(2_000)),
        ];
        assert_eq!(beats, expected);
    }

    #[test]
    fn a_peer_that_answers_is_pinged_every_interval_and_never_quiet() {
        let mut heartbeat = watched();
        for round in 1..100 {
            let now = heartbeat.deadline(|| false).unwrap();
            assert_eq!(poll(&mut heartbeat, now), Beat::Ping(round));
            heartbeat.note();
            assert!(heartbeat.take_pong(round));
            assert_eq!(poll(&mut heartbeat, now + 1), Beat::Wait);
        }
        assert_eq!((heartbeat.pings(), heartbeat.pongs()), (99, 99));
    }

    #[test]
    fn anything_received_is_a_sign_of_life() {
        let mut heartbeat = watched();
        for now in (1_000..60_000).step_by(499) {
            heartbeat.note();
            assert_eq!(poll(&mut heartbeat, now), Beat::Wait);
        }
        assert_eq!(heartbeat.pings(), 0);
    }

    #[test]
    fn a_peer_that_is_heard_again_is_reported_once() {
        let mut heartbeat = watched();
        beats_until(&mut heartbeat, 2_500);
        heartbeat.note();
        assert_eq!(poll(&mut heartbeat, 2_600), Beat::Heard);
        assert_eq!(poll(&mut heartbeat, 2_601), Beat::Wait);
        assert!(!heartbeat.take_pong(2), "there was no second ping");
        assert!(heartbeat.take_pong(1));
    }

    #[test]
    fn a_process_that_was_stopped_does_not_count_the_pause_as_silence() {
        for stopped_at in [1_000, 1_600, 2_400, 2_999] {
            let mut heartbeat = watched();
            beats_until(&mut heartbeat, stopped_at);
            let awake = stopped_at + 60_000;
            let beat = poll(&mut heartbeat, awake);
            assert!(!matches!(beat, Beat::Silent(_)), "{stopped_at}: {beat:?}");
            // A silent peer is detected afterwards.
            let last = *beats_until(&mut heartbeat, awake + 3_000).last().unwrap();
            assert!(matches!(last.1, Beat::Silent(_)), "{stopped_at}: {last:?}");
        }
    }

    /// The beats of two idle connections of one pair of nodes within `time`, the second of which has the later turn. The
    /// first is answered after `answer_ms`, if at all.
    fn pings_of_two(time: Millis, answers: bool) -> [u64; 2] {
        let limits = |turn_ms| HeartbeatLimits {
            interval_ms: 500,
            silence_ms_max: 2_000,
            turn_ms,
        };
        let mut both = [0, 250].map(|turn_ms| Heartbeat::new(limits(turn_ms)));
        both.iter_mut().for_each(|one| one.start(1_000));
        let mut heard = 1_000;
        for now in 1_000..1_000 + time {
            for one in &mut both {
                if one.deadline(|| true).is_none_or(|deadline| deadline > now) {
                    continue;
                }
                one.hear_elsewhere(heard);
                if let (Beat::Ping(session), true) = (poll_as(one, now, true), answers) {
                    one.note();
                    assert!(one.take_pong(session));
                    poll_as(one, now, true);
                    heard = now;
                }
            }
        }
        both.map(|one| one.pings())
    }

    #[test]
    fn of_two_idle_connections_one_pings_as_long_as_it_is_answered() {
        let [first, second] = pings_of_two(60_000, true);
        assert!((90..=120).contains(&first) && second == 0, "{first} {second}");
        assert_eq!(
            pings_of_two(1_500, false),
            [1, 1],
            "both notice that the peer is gone"
        );
    }

    #[test]
    fn a_quiet_peer_that_is_heard_elsewhere_is_reported_once() {
        let mut heartbeat = watched();
        beats_until(&mut heartbeat, 2_500);
        heartbeat.hear_elsewhere(2_550);
        assert_eq!(poll(&mut heartbeat, 2_600), Beat::Heard);
        assert_eq!(poll(&mut heartbeat, 2_601), Beat::Wait);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let mut heartbeat = Heartbeat::new(HeartbeatLimits::OFF);
        heartbeat.start(0);
        assert_eq!(heartbeat.deadline(|| false), None);
        assert_eq!(poll(&mut heartbeat, 1_000_000), Beat::Wait);
    }
}
