//! The faults of a scenario: each begins and ends at its time in its phase, to the interval at which the time is looked at.

use std::time::Duration;

use super::cluster::Cluster;
use super::error::ScenarioError;
use super::file::FaultPart;
use crate::chaos::Faults;

/// One fault.
#[derive(Debug, Clone)]
pub(super) struct FaultPlan {
    pub(super) phase: usize,
    node: usize,
    begins: Duration,
    ends: Duration,
    kind: FaultKind,
}

#[derive(Debug, Clone)]
enum FaultKind {
    Kill,
    Pause,
    Network(Faults),
}

impl FaultPlan {
    pub(super) fn new(part: &FaultPart, phase: usize, node: usize) -> FaultPlan {
        let kind = if part.kill {
            FaultKind::Kill
        } else if part.pause {
            FaultKind::Pause
        } else {
            FaultKind::Network(Faults {
                cuts_per_second: part.cuts_per_second,
                reset: part.reset,
                delay: Duration::from_millis(u64::from(part.delay_ms)),
                trickle_bytes: part.trickle_bytes.map(|bytes| bytes as usize),
                stalled: part.stall,
            })
        };
        FaultPlan {
            phase,
            node,
            begins: Duration::from_secs_f64(part.at_seconds),
            ends: Duration::from_secs_f64(part.at_seconds + part.seconds),
            kind,
        }
    }
}

/// The faults of one phase, while it runs.
pub(super) struct FaultSchedule<'a> {
    faults: Vec<(&'a FaultPlan, Stage)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Ahead,
    Present,
    Past,
}

impl<'a> FaultSchedule<'a> {
    pub(super) fn of(faults: &'a [FaultPlan], phase: usize) -> FaultSchedule<'a> {
        FaultSchedule {
            faults: faults
                .iter()
                .filter(|fault| fault.phase == phase)
                .map(|fault| (fault, Stage::Ahead))
                .collect(),
        }
    }

    /// Begins and ends what is due that long after the phase began.
    pub(super) fn advance(&mut self, elapsed: Duration, cluster: &mut Cluster) -> Result<(), ScenarioError> {
        for (fault, stage) in &mut self.faults {
            if *stage == Stage::Ahead && elapsed >= fault.begins {
                *stage = Stage::Present;
                match &fault.kind {
                    FaultKind::Kill => cluster.kill(fault.node)?,
                    FaultKind::Pause => cluster.pause(fault.node)?,
                    FaultKind::Network(faults) => cluster.set_faults(fault.node, *faults),
                }
            }
            if *stage == Stage::Present && elapsed >= fault.ends {
                *stage = Stage::Past;
                match &fault.kind {
                    FaultKind::Kill => cluster.restart(fault.node)?,
                    FaultKind::Pause => cluster.resume(fault.node)?,
                    FaultKind::Network(_) => cluster.set_faults(fault.node, Faults::default()),
                }
            }
        }
        Ok(())
    }

    /// Ends what is still present.
    pub(super) fn end(mut self, cluster: &mut Cluster) -> Result<(), ScenarioError> {
        self.advance(Duration::MAX, cluster)
    }
}
