//! Detects whether the peer of a connection still shows signs of life.
//!
//! Any received bytes are a sign of life. After an interval without any a ping is due; at most one ping is in
//! flight. After twice the interval the peer is *quiet*, and after the configured limit the connection is *silent*
//! and must be closed.
//!
//! Invariants:
//! - a connection is silent only if a ping was due on it and had the rest of the limit for its answer;
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
}

impl HeartbeatLimits {
    /// No heartbeat.
    pub const OFF: HeartbeatLimits = HeartbeatLimits {
        interval_ms: 0,
        silence_ms_max: 0,
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

    /// The peer has answered a ping with this session; false when no such ping is in flight.
    pub(super) fn take_pong(&mut self, session: u32) -> bool {
        let is_answer = self.is_pinged && session == self.session;
        if is_answer {
            self.is_pinged = false;
            self.pongs += 1;
        }
        is_answer
    }

    /// What is due now. Poll until nothing is, because states change one at a time.
    #[inline]
    pub(super) fn poll(&mut self, now: Millis) -> Beat {
        if !self.is_running {
            return Beat::Wait;
        }
        if self.is_fresh {
            self.is_fresh = false;
            (self.heard, self.polled) = (now, now);
            if std::mem::replace(&mut self.is_quiet, false) {
                return Beat::Heard;
            }
            return Beat::Wait;
        }
        if now.saturating_sub(self.heard) < self.limits.interval_ms {
            self.polled = now;
            return Beat::Wait;
        }
        self.poll_silent(now)
    }

    #[inline(never)]
    fn poll_silent(&mut self, now: Millis) -> Beat {
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
            self.is_pinged = true;
            self.session = (self.session + 1) & (u32::MAX >> 1);
            self.pings += 1;
            return Beat::Ping(self.session);
        }
        if silence >= self.limits.silence_ms_max.max(interval * 2) {
            return Beat::Silent(silence);
        }
        if silence >= interval * 2 && !self.is_quiet {
            self.is_quiet = true;
            return Beat::Quiet;
        }
        Beat::Wait
    }

    /// The ping is sent with another session than the proposed one.
    pub(super) fn set_session(&mut self, session: u32) {
        self.session = session;
    }

    /// When to poll next.
    pub(super) fn deadline(&self) -> Option<Millis> {
        if !self.is_running {
            return None;
        }
        let interval = self.limits.interval_ms;
        let after = match (self.is_pinged, self.is_quiet) {
            (false, _) => interval,
            (true, false) => interval * 2,
            (true, true) => self.limits.silence_ms_max.max(interval * 2),
        };
        // Never later than an interval after the last poll, or the time between polls would count as a pause.
        Some((self.heard + after).min(self.polled + interval))
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
        });
        heartbeat.start(1_000);
        heartbeat
    }

    /// The beats at the heartbeat's own deadlines until `end`, with their times.
    fn beats_until(heartbeat: &mut Heartbeat, end: Millis) -> Vec<(Millis, Beat)> {
        let mut beats = Vec::new();
        while let Some(now) = heartbeat.deadline().filter(|now| *now <= end) {
            match heartbeat.poll(now) {
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
            let now = heartbeat.deadline().unwrap();
            assert_eq!(heartbeat.poll(now), Beat::Ping(round));
            heartbeat.note();
            assert!(heartbeat.take_pong(round));
            assert_eq!(heartbeat.poll(now + 1), Beat::Wait);
        }
        assert_eq!((heartbeat.pings(), heartbeat.pongs()), (99, 99));
    }

    #[test]
    fn anything_received_is_a_sign_of_life() {
        let mut heartbeat = watched();
        for now in (1_000..60_000).step_by(499) {
            heartbeat.note();
            assert_eq!(heartbeat.poll(now), Beat::Wait);
        }
        assert_eq!(heartbeat.pings(), 0);
    }

    #[test]
    fn a_peer_that_is_heard_again_is_reported_once() {
        let mut heartbeat = watched();
        beats_until(&mut heartbeat, 2_500);
        heartbeat.note();
        assert_eq!(heartbeat.poll(2_600), Beat::Heard);
        assert_eq!(heartbeat.poll(2_601), Beat::Wait);
        assert!(!heartbeat.take_pong(2), "there was no second ping");
        assert!(heartbeat.take_pong(1));
    }

    #[test]
    fn a_process_that_was_stopped_does_not_count_the_pause_as_silence() {
        for stopped_at in [1_000, 1_600, 2_400, 2_999] {
            let mut heartbeat = watched();
            beats_until(&mut heartbeat, stopped_at);
            let awake = stopped_at + 60_000;
            let beat = heartbeat.poll(awake);
            assert!(!matches!(beat, Beat::Silent(_)), "{stopped_at}: {beat:?}");
            // A silent peer is detected afterwards.
            let last = *beats_until(&mut heartbeat, awake + 3_000).last().unwrap();
            assert!(matches!(last.1, Beat::Silent(_)), "{stopped_at}: {last:?}");
        }
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let mut heartbeat = Heartbeat::new(HeartbeatLimits::OFF);
        heartbeat.start(0);
        assert_eq!(heartbeat.deadline(), None);
        assert_eq!(heartbeat.poll(1_000_000), Beat::Wait);
    }
}
