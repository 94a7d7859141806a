//! What a shard knows of services that a supervisor has started: which it starts again, and which are between two lives.
//!
//! A service that will be started again keeps its names and its place among the instances of a keyed service; they lead to
//! the handle of the life that has ended, until the next life takes them over. Calls to that handle fail with
//! `restarted`.
//!
//! Invariant: a handle is here only from the end of a supervised service until its supervisor has started the next life
//! and [`ENDED_KEPT_MAX`] others have ended after it, or until the supervisor gives it up.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::config::Restart;
use crate::core::handle::Handle;
use crate::error::{Error, Text};
use crate::service::end::End;

/// Handles of earlier lives of restarted services that one shard remembers, so that late calls to them fail with
/// `restarted`.
pub const ENDED_KEPT_MAX: usize = 1_024;

impl Restart {
    /// Whether a service that ended so is started again.
    pub(crate) fn restarts_after(self, end: &End) -> bool {
        match self {
            _ if *end == End::NodeStopping => false,
            Restart::Always => true,
            Restart::OnFailure => end.is_failure(),
            Restart::Never => false,
        }
    }
}

/// The supervision of one service.
#[derive(Debug, Clone)]
pub(crate) struct Supervision {
    pub(super) restart: Restart,
    /// How often it has been restarted.
    pub(super) restarts: u64,
    /// How its last life ended.
    pub(super) last_end: Option<End>,
    /// Set once its supervisor stops it: whether to start it again.
    pub(super) is_kept: Option<bool>,
}

impl Supervision {
    pub(super) fn is_kept_after(&self, end: &End) -> bool {
        self.is_kept.unwrap_or_else(|| self.restart.restarts_after(end))
    }
}

/// A life that has ended, of a service that is started again.
struct Ended {
    /// Its name for errors: one of its names, or its handle.
    name: Text,
    end: End,
}

/// The services of one shard that are between two lives.
#[derive(Default)]
pub(super) struct Restarting {
    ended: FxHashMap<Handle, Ended>,
    /// Those whose next life has begun, the oldest first.
    replaced: VecDeque<Handle>,
}

impl Restarting {
    pub(super) fn insert(&mut self, handle: Handle, name: Text, end: End) {
        self.ended.insert(handle, Ended { name, end });
    }

    /// The next life has begun: the handle is only remembered for late calls.
    pub(super) fn replace(&mut self, handle: Handle) {
        if !self.ended.contains_key(&handle) {
            return;
        }
        self.replaced.push_back(handle);
        if self.replaced.len() > ENDED_KEPT_MAX
            && let Some(oldest) = self.replaced.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// The supervisor gives the service up; returns whether it was here.
    pub(super) fn remove(&mut self, handle: Handle) -> bool {
        self.ended.remove(&handle).is_some()
    }

    /// How the life with this handle ended.
    pub(super) fn end_of(&self, handle: Handle) -> Option<End> {
        self.ended.get(&handle).map(|ended| ended.end.clone())
    }

    /// The error for a call to the life with this handle.
    pub(super) fn error(&self, handle: Handle, may_have_run: bool) -> Option<Error> {
        let ended = self.ended.get(&handle)?;
        Some(Error::ServiceRestarted {
            address: Text::clone(&ended.name),
            may_have_run,
        })
    }
}
