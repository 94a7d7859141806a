//! What a channel counts, and its part of the status of the node.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skyring_codec::link::Dialect;

use crate::cluster::dialling::channel::state::{Channel, Phase};
use crate::core::ShardCore;
use crate::core::activity::Work;
use crate::error::Error;
use crate::rt;
use crate::status::ChannelStatus;

/// Calls of a channel that are timed at the same time.
const CALLS_TIMED_MAX: usize = 4;

/// A call that is timed and not answered for so long gives its place to another.
const TIMED_MAX: Duration = Duration::from_secs(30);

/// The counters of one channel.
#[derive(Default)]
pub(super) struct ChannelFigures {
    calls: Work,
    sends: Cell<u64>,
    pub(super) connects: Cell<u64>,
    errors: RefCell<BTreeMap<&'static str, u64>>,
    /// The calls that are being timed, by their tokens, and since when.
    timed: [Cell<Option<(u64, Instant)>>; CALLS_TIMED_MAX],
    timed_count: Cell<usize>,
}

impl ChannelFigures {
    /// Counts a call with this token, or a send.
    #[inline(always)]
    pub(super) fn count(&self, shard: &ShardCore, token: Option<u64>) {
        let Some(token) = token else {
            return self.sends.set(self.sends.get() + 1);
        };
        if let Some(began) = shard.begin_work(&self.calls) {
            self.time(token, began);
        }
    }

    #[cold]
    fn time(&self, token: u64, began: Instant) {
        let is_vacant = |slot: &&Cell<Option<(u64, Instant)>>| {
            let is_old = |(_, since): (u64, Instant)| began.saturating_duration_since(since) > TIMED_MAX;
            slot.get().is_none_or(is_old)
        };
        if let Some(slot) = self.timed.iter().find(is_vacant)
            && slot.replace(Some((token, began))).is_none()
        {
            self.timed_count.set(self.timed_count.get() + 1);
        }
    }

    /// Notes that a call was answered.
    #[inline(always)]
    pub(super) fn end_round_trip(&self, token: u64) {
        if self.timed_count.get() > 0
            && let Some(began) = self.stop_timing(token)
        {
            self.calls.record(rt::now().saturating_duration_since(began));
        }
    }

    /// Notes that a call ended without an answer.
    pub(super) fn forget_round_trip(&self, token: u64) {
        if self.timed_count.get() > 0 {
            self.stop_timing(token);
        }
    }

    fn stop_timing(&self, token: u64) -> Option<Instant> {
        let slot = self
            .timed
            .iter()
            .find(|slot| slot.get().is_some_and(|(timed, _)| timed == token))?;
        self.timed_count.set(self.timed_count.get() - 1);
        slot.take().map(|(_, began)| began)
    }

    /// Counts a call or a send that failed.
    #[cold]
    pub(super) fn count_error(&self, error: &Error) {
        self.count_code(error.code());
    }

    /// The same by the code of the error.
    #[cold]
    pub(super) fn count_code(&self, code: &'static str) {
        *self.errors.borrow_mut().entry(code).or_default() += 1;
    }
}

impl Channel {
    /// Its part of the status of the node.
    pub(in crate::cluster) fn status(&self, shard: &ShardCore) -> ChannelStatus {
        let link = self.connection.link.borrow();
        let figures = &self.figures;
        let (bytes_read, bytes_written, writes) = self.connection.traffic();
        let errors = figures.errors.borrow();
        ChannelStatus {
            node: self.node.to_string(),
            channel: self.number,
            shard: shard.index,
            state: match self.phase.get() {
                Phase::Offline => "offline",
                Phase::Open => "open",
                Phase::Draining => "draining",
            }
            .to_owned(),
            dialect: match link.dialect() {
                Some(Dialect::Native) => "native",
                Some(Dialect::Skynet) => "skynet",
                None => "",
            }
            .to_owned(),
            calls: figures.calls.done(),
            sends: figures.sends.get(),
            errors: errors
                .iter()
                .map(|(code, count)| ((*code).to_owned(), *count))
                .collect(),
            in_flight: link.outstanding() as u64,
            backlog: self.backlog.calls.borrow().len() as u64,
            waiting_bytes: link.out_buffer_bytes() as u64,
            bytes_written,
            bytes_read,
            writes,
            connects: figures.connects.get(),
            round_trip: figures.calls.durations(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_timed_until_its_answer_and_one_that_is_never_answered_gives_its_place_away() {
        let figures = ChannelFigures::default();
        let began = Instant::now();
        figures.calls.count();
        for token in 0..6 {
            figures.time(token, began);
        }
        assert_eq!(figures.timed_count.get(), CALLS_TIMED_MAX);
        figures.forget_round_trip(0);
        figures.end_round_trip(5);
        assert_eq!(figures.calls.durations().count(), 0);
        figures.end_round_trip(3);
        assert_eq!(
            (figures.calls.durations().count(), figures.timed_count.get()),
            (1, 2)
        );
        let later = began + TIMED_MAX * 2;
        for token in 10..20 {
            figures.time(token, later);
        }
        assert_eq!(figures.timed_count.get(), CALLS_TIMED_MAX);
        assert!(figures.stop_timing(1).is_none() && figures.stop_timing(13).is_some());
    }
}
