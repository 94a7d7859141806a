//! Measures the contenders in turn, each in a process of its own, with the clients on a pinned thread of this one.

use std::time::Duration;

use super::crowd::{Crowd, CrowdSettings};
use super::files::allow_clients;
use super::framing::Framing;
use super::plan::{Contender, GateError, GatePlan};
use super::result::{GateResult, GateRow, GateRun, OpenFigures};
use super::server::{GateLauncher, Server};
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::latency::Latency;
use crate::memory::resident_bytes;
use crate::pinned_thread::PinnedThread;

/// The longest closed loop that finds the rate of the open loops.
const RATE_TRIAL: Duration = Duration::from_millis(500);

impl GatePlan {
    /// Measures; `show` is told what is measured: the number of the run, from 1, and the contender.
    ///
    /// # Errors
    /// [`GateError`]. Packets that are lost are no error, but figures of the result.
    pub fn measure(
        &self,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
        show: impl Fn(usize, &str) + Send + Sync + 'static,
    ) -> Result<GateResult, GateError> {
        allow_clients(self.clients, 0)?;
        let (plan, launcher, interrupt) = (self.clone(), launcher.clone(), interrupt.clone());
        PinnedThread::start("gate-clients", self.threads, move || {
            plan.measure_here(&launcher, &interrupt, show)
        })?
        .join()
    }

    fn measure_here(
        &self,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
        show: impl Fn(usize, &str),
    ) -> Result<GateResult, GateError> {
        let mut result = GateResult::new(self);
        result.rows = self
            .contenders
            .iter()
            .map(|contender| GateRow {
                name: contender.name(),
                runs: Vec::new(),
            })
            .collect();
        let rate = match self.rate {
            Some(rate) => rate,
            None => self.find_rate(launcher, interrupt, &show)?,
        };
        for run in 0..self.runs {
            for (contender, row) in self.contenders.iter().zip(&mut result.rows) {
                show(run + 1, contender.name());
                row.runs
                    .push(self.measure_one(*contender, rate, launcher, interrupt)?);
            }
        }
        Ok(result)
    }

    /// Half of what the slowest contender echoes, so that none is overloaded by the open loop.
    fn find_rate(
        &self,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
        show: &impl Fn(usize, &str),
    ) -> Result<f64, GateError> {
        let mut lowest = f64::INFINITY;
        for &contender in &self.contenders {
            show(0, contender.name());
            let server = Server::start(contender, self, launcher, interrupt)?;
            let mut crowd = self.crowd(contender, &server, interrupt)?;
            crowd.connect(self.active)?;
            let trial = self.duration.min(RATE_TRIAL);
            let (rate, _) = crowd.closed_loop(self.active, self.window, trial / 2, trial)?;
            lowest = lowest.min(rate);
        }
        Ok((lowest / 2.0).max(1.0))
    }

    /// Clients of a contender, none connected yet.
    pub(super) fn crowd(
        &self,
        contender: Contender,
        server: &Server,
        interrupt: &Interrupt,
    ) -> Result<Crowd, GateError> {
        let framing = match contender {
            Contender::Gate | Contender::TlsGate | Contender::Target(_) if self.is_websocket => {
                Framing::WebSocket
            }
            _ => Framing::Length,
        };
        let settings = CrowdSettings {
            address: server.address(),
            framing,
            path: self.path.clone(),
            size: self.size,
            tls: server.tls().cloned(),
        };
        Ok(Crowd::new(settings, interrupt)?)
    }

    fn measure_one(
        &self,
        contender: Contender,
        rate: f64,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
    ) -> Result<GateRun, GateError> {
        let server = Server::start(contender, self, launcher, interrupt)?;
        let process = server.process();
        let memory = || process.and_then(resident_bytes).map(|bytes| bytes as f64);
        let processor = || process.and_then(cpu_seconds);
        let grown = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
        let mut crowd = self.crowd(contender, &server, interrupt)?;

        let memory_before = memory();
        let connected = crowd.connect(self.clients)?;
        let before = processor();
        crowd.idle(self.idle)?;
        let idle = grown(before, processor());
        let memory_grown = grown(memory_before, memory());
        let packets = match self.packets_each {
            0 => Duration::ZERO,
            each => crowd.packets(each, self.window)?,
        };
        let before = processor();
        let (echoes_per_second, latencies) =
            crowd.closed_loop(self.active, self.window, self.warm_up, self.duration)?;
        let used = grown(before, processor());
        // The warm-up is part of the processor time, and its packets are answered at the same rate.
        let echoes = echoes_per_second * (self.warm_up + self.duration).as_secs_f64();
        let open = crowd.open_loop(self.active, rate, self.warm_up, self.duration)?;
        let faults = crowd.faults();
        let sent = self.clients as u64 * u64::from(self.packets_each);
        Ok(GateRun {
            connects_per_second: self.clients as f64 / connected.as_secs_f64(),
            memory_bytes_each: memory_grown.map(|bytes| bytes / self.clients as f64),
            idle_processor: idle.map(|seconds| seconds / self.idle.as_secs_f64()),
            packets: sent,
            packets_per_second: sent as f64 / packets.as_secs_f64().max(1e-9),
            lost: crowd.unanswered(),
            wrong: faults.wrong,
            ended: faults.ended,
            fault: crowd.first_fault().map(str::to_owned),
            echoes_per_second,
            processor_us_each: used.map(|seconds| seconds * 1e6 / echoes.max(1.0)),
            echo_latency_us: Latency::of(&latencies),
            open: Some(OpenFigures {
                rate,
                latency_us: Latency::of(&open.latencies),
                has_given_up: open.has_given_up,
            }),
        })
    }
}
