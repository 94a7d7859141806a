//! A gate among hostile clients: what a healthy client's latency does, and what the gate counts.
//!
//! Windows without and with the attack alternate, and each pair has a ratio, so that a machine that becomes slower does so
//! for both. The attack comes from another address of loopback than the healthy clients, and from a thread that runs
//! when they do not: the gate is measured, not the program of the attack.

mod attack;
mod counters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;

pub use self::attack::{Attack, Attempts};
use super::files::allow_clients;
use super::plan::{Contender, GateError, GatePlan};
use super::server::{GateLauncher, Server};
use crate::cpu::pin_this_thread;
use crate::interrupt::Interrupt;
use crate::latency::Latency;
use crate::median::median;
use crate::pinned_thread::PinnedThread;

/// Descriptors that an attack needs.
const ATTACK_FILES: u64 = 2_000;

/// Seconds of an attack before its window, in which it connects.
const LEAD: Duration = Duration::from_millis(500);

/// Packets a second of the healthy clients, unless the plan has a rate.
const RATE_DEFAULT: f64 = 2_000.0;

/// The latencies of the healthy clients in two windows, one after the other, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HostilePair {
    /// Without the attack.
    pub quiet: Latency,
    /// With it.
    pub hostile: Latency,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct HostileResult {
    /// The attack.
    pub attack: &'static str,
    /// The settings of the gate.
    pub settings: String,
    /// Healthy clients.
    pub clients: usize,
    /// Their packets a second, together.
    pub rate: f64,
    /// The windows.
    pub pairs: Vec<HostilePair>,
    /// Packets of healthy clients without an answer, or with a wrong one, and healthy clients that were closed.
    pub faults: u64,
    /// What the attack did.
    pub attempts: Attempts,
    /// What the gate counted meanwhile.
    pub counters: BTreeMap<String, i64>,
    /// Clients of the gate after the attack: the healthy ones.
    pub clients_after: i64,
    /// The counters of which at least one must have counted the attack.
    pub expected: &'static [&'static str],
}

impl HostileResult {
    /// The ratio of the p99 with the attack to that without, the median of the pairs.
    pub fn p99_ratio(&self) -> f64 {
        median(
            self.pairs
                .iter()
                .map(|pair| pair.hostile.p99 / pair.quiet.p99)
                .collect(),
        )
    }

    /// Why the gate did not keep what it promises; `None` when it did. The latency is not judged.
    pub fn failure(&self) -> Option<String> {
        if self.faults > 0 {
            return Some(format!(
                "{} packets or connections of healthy clients were lost",
                self.faults
            ));
        }
        if self.clients_after != self.clients as i64 {
            return Some(format!(
                "the gate has {} clients after the attack, and {} are healthy",
                self.clients_after, self.clients
            ));
        }
        let counted = |name: &&&str| self.counters.get(**name).is_some_and(|count| *count > 0);
        if !self.expected.is_empty() && self.expected.iter().find(counted).is_none() {
            return Some(format!(
                "the gate has not counted the attack as {}",
                self.expected.join(" or ")
            ));
        }
        (self.attempts.connections == 0).then(|| "the attack did not connect".to_owned())
    }

    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        // Plain numbers and texts.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl GatePlan {
    /// Measures the gate among hostile clients; the plan's runs are the pairs of windows.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn measure_hostile(
        &self,
        attack: Attack,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
        show: impl Fn(usize) + Send + 'static,
    ) -> Result<HostileResult, GateError> {
        allow_clients(self.clients, ATTACK_FILES)?;
        let (mut plan, launcher, interrupt) = (self.clone(), launcher.clone(), interrupt.clone());
        // The user's settings come last, and win.
        plan.settings = format!("{} {}", attack.settings(), self.settings)
            .trim()
            .to_owned();
        PinnedThread::start("gate-clients", self.threads, move || {
            plan.measure_attack(attack, &launcher, &interrupt, show)
        })?
        .join()
    }

    fn measure_attack(
        &self,
        attack: Attack,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
        show: impl Fn(usize),
    ) -> Result<HostileResult, GateError> {
        let server = Server::start(Contender::Gate, self, launcher, interrupt)?;
        let Some(cluster) = server.cluster() else {
            return Err(GateError::Counters("the gate listens for no calls".to_owned()));
        };
        let mut crowd = self.crowd(Contender::Gate, &server, interrupt)?;
        crowd.connect(self.clients)?;
        let rate = self.rate.unwrap_or(RATE_DEFAULT);
        let before = counters::read(cluster)?;
        let (mut pairs, mut attempts) = (Vec::new(), Attempts::default());
        for pair in 0..self.runs {
            show(pair + 1);
            let quiet = crowd.open_loop(self.clients, rate, self.warm_up, self.duration)?;
            let stop = Arc::new(AtomicBool::new(false));
            let attacker = {
                let (stop, target) = (Arc::clone(&stop), server.address());
                let (is_websocket, path, cpu) = (self.is_websocket, self.path.clone(), self.threads);
                thread::Builder::new()
                    .name("gate-attack".to_owned())
                    .spawn(move || {
                        pin_this_thread(cpu)?;
                        attack.run(target, is_websocket, &path, &stop)
                    })?
            };
            crowd.idle(LEAD)?;
            let hostile = crowd.open_loop(self.clients, rate, self.warm_up, self.duration);
            stop.store(true, Ordering::Relaxed);
            let attacked = attacker
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the thread of the attack panicked")))?;
            attempts.add(attacked);
            let hostile = hostile?;
            pairs.push(HostilePair {
                quiet: Latency::of(&quiet.latencies),
                hostile: Latency::of(&hostile.latencies),
            });
        }
        let clients_after = counters::wait_for_clients(cluster, self.clients as i64)?;
        let mut counted = counters::read(cluster)?;
        for (name, count) in &mut counted {
            *count -= before.get(name).copied().unwrap_or_default();
        }
        let faults = crowd.faults();
        Ok(HostileResult {
            attack: attack.name(),
            settings: self.settings.clone(),
            clients: self.clients,
            rate,
            pairs,
            faults: faults.wrong + faults.ended + crowd.unanswered(),
            attempts,
            counters: counted,
            clients_after,
            expected: attack.counted_as(self.is_websocket),
        })
    }
}
