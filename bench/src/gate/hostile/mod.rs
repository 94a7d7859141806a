//! A gate among hostile clients: what a healthy client's latency does, and what the gate counts.
//!
//! A round has three windows in changing order: without the attack, with it, and with the same attack at another gate on the same
//! processors, which shows how much of a difference is the machine's. Each round has its ratios, so that a machine that becomes slower does so
//! for all three. The attack comes from another address of loopback than the healthy clients, and from a thread that runs
//! when they do not: the gate is measured, not the program of the attack.

mod attack;
mod counters;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
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
use crate::statistics::{Interval, median_interval};

/// Descriptors that an attack needs.
const ATTACK_FILES: u64 = 2_000;

/// How often the median of the ratios lies outside of its interval, at most.
const ERROR_RATE: f64 = 0.05;

/// Seconds of an attack before its window, in which it connects.
const LEAD: Duration = Duration::from_millis(500);

/// Packets a second of the healthy clients, unless the plan has a rate.
const RATE_DEFAULT: f64 = 2_000.0;

/// The latencies of the healthy clients in the windows of a round, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HostileRound {
    /// Without the attack.
    pub quiet: Latency,
    /// With it.
    pub hostile: Latency,
    /// With the same attack at another gate.
    pub elsewhere: Latency,
}

/// The ratios of the p99 of two windows of each round.
#[derive(Debug, Clone, Copy)]
pub struct P99Ratio {
    /// The median of the rounds.
    pub median: f64,
    /// Where the median lies, with an error rate of 5 %; from nothing to infinity with few rounds.
    pub interval: Interval,
}

impl P99Ratio {
    fn of(rounds: &[HostileRound], windows: impl Fn(&HostileRound) -> (Latency, Latency)) -> P99Ratio {
        let ratios: Vec<f64> = rounds
            .iter()
            .map(|round| {
                let (this, that) = windows(round);
                this.p99 / that.p99
            })
            .collect();
        P99Ratio {
            interval: median_interval(&ratios, ERROR_RATE),
            median: median(ratios),
        }
    }
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
    pub rounds: Vec<HostileRound>,
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
    /// The ratio of the p99 with the attack to that without.
    pub fn ratio_to_quiet(&self) -> P99Ratio {
        P99Ratio::of(&self.rounds, |round| (round.hostile, round.quiet))
    }

    /// The ratio of the p99 with the attack to that with the same attack at another gate.
    pub fn ratio_to_elsewhere(&self) -> P99Ratio {
        P99Ratio::of(&self.rounds, |round| (round.hostile, round.elsewhere))
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

/// The thread of an attack, which ends when it is told to.
struct AttackThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Attempts>>,
}

impl AttackThread {
    fn start(attack: Attack, target: SocketAddr, plan: &GatePlan) -> io::Result<AttackThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let (is_websocket, path, cpu) = (plan.is_websocket, plan.path.clone(), plan.threads);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("gate-attack".to_owned())
            .spawn(move || {
                pin_this_thread(cpu)?;
                attack.run(target, is_websocket, &path, &stopped)
            })?;
        Ok(AttackThread { stop, thread })
    }

    fn stop(self) -> io::Result<Attempts> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of the attack panicked")))
    }
}

impl GatePlan {
    /// Measures the gate among hostile clients; the plan's runs are the rounds.
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
        let other = Server::start(Contender::Gate, self, launcher, interrupt)?;
        let targets = [None, Some(server.address()), Some(other.address())];
        let (mut rounds, mut attempts) = (Vec::new(), Attempts::default());
        for round in 0..self.runs {
            show(round + 1);
            let mut latencies = [None; 3];
            for step in 0..targets.len() {
                // Each is first, second and last as often as the others.
                let which = (round + step) % targets.len();
                let attacker = targets[which]
                    .map(|target| AttackThread::start(attack, target, self))
                    .transpose()?;
                crowd.idle(LEAD)?;
                let measured = crowd.open_loop(self.clients, rate, self.warm_up, self.duration);
                if let Some(attacker) = attacker {
                    let attacked = attacker.stop()?;
                    if targets[which] == Some(server.address()) {
                        attempts.add(attacked);
                    }
                }
                latencies[which] = Some(Latency::of(&measured?.latencies));
            }
            if let [Some(quiet), Some(hostile), Some(elsewhere)] = latencies {
                rounds.push(HostileRound {
                    quiet,
                    hostile,
                    elsewhere,
                });
            }
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
            rounds,
            faults: faults.wrong + faults.ended + crowd.unanswered(),
            attempts,
            counters: counted,
            clients_after,
            expected: attack.counted_as(self.is_websocket),
        })
    }
}
