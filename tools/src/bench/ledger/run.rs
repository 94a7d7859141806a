//! One run of the ledger: the processes, the proxies, the faults when they are due, and the result.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use skyring::config::{ConfigError, Group, Policy};
use skyring::log::Destination;
use skyring::{Address, ClusterMap, DialectChoice, Error, Node, StartError};
use skyring_bench::{
    ChaosProxy, Interrupt, LedgerError, LedgerPlan, LedgerResult, NodePlan, NodeProcess, NodeProcessError,
    RunningLedger, SAMPLES_MAX, Sample, Supervisor, TempDir, resident_bytes, samples_csv, samples_page,
};
use thiserror::Error as ThisError;

use super::arguments::{Dialect, Plan};
use super::fault_schedule::{Fault, Timetable};
use super::output::{log_fault, log_sample, print, print_plan, result_lines};
use crate::shared::output_file::is_stdout;
use crate::shared::programs::rig_node_program;

/// The callee's name in the map.
const CALLEE: &str = "callee";

/// The name of the second callee, if there is a group.
const BACKUP: &str = "callee_backup";

/// The name of the group of both.
const GROUP: &str = "callees";

/// The folders of the callees' journals, and their services as their configs name them.
const JOURNALS: [(&str, &str); 2] = [
    ("journal", "ledger journal"),
    ("journal_backup", "ledger journal_backup"),
];

/// Time between two steps of the comparison.
const STEP: Duration = Duration::from_millis(25);

/// Time between two samples, at least.
const SAMPLE_TIME_MIN: Duration = Duration::from_secs(1);

/// Samples that are logged during a run.
const LINES_MAX: u32 = 30;

/// How long the callee may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no result.
#[derive(Debug, ThisError)]
pub(super) enum LedgerRunError {
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("the callee: {0}")]
    Server(#[from] NodeProcessError),
    #[error("the calling node: {0}")]
    Client(#[from] StartError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the calling node: {0}")]
    Node(#[from] Error),
    #[error("{0}")]
    Map(#[from] ConfigError),
    #[error("{}: {error}", file.display())]
    Report { file: PathBuf, error: io::Error },
    #[error("interrupted")]
    Interrupted,
}

/// The processes and the node of a run.
struct LedgerRun {
    callee: NodeProcess,
    backup: Option<(NodeProcess, ChaosProxy)>,
    watch: Supervisor,
    /// Two addresses of the callee, so that a reload can change the address.
    proxies: [ChaosProxy; 2],
    node: Node,
    /// The index of the proxy that the map names.
    proxy: usize,
    samples: Vec<Sample>,
    scratch: TempDir,
}

/// Runs the ledger; returns the number of violations.
pub(super) fn run(plan: &Plan) -> Result<u64, LedgerRunError> {
    let interrupt = Interrupt::catch()?;
    let mut ledger_run = LedgerRun::start(plan, interrupt.clone())?;
    let callees = 1 + usize::from(plan.common.group);
    let ledger = LedgerPlan {
        node: if plan.common.group { GROUP } else { CALLEE }.to_owned(),
        address: Address::from("@ledger"),
        callers: plan.common.callers as usize,
        rate: plan.rate,
        timeout: Duration::from_millis(plan.common.timeout_ms),
        size_max: plan.common.size as usize,
        journals: JOURNALS[..callees]
            .iter()
            .map(|(folder, _)| ledger_run.scratch.path().join(folder))
            .collect(),
        is_idempotent: plan.common.idempotent,
        when_down: plan.common.when_down.into(),
    };
    let mut running = ledger.start(&ledger_run.node)?;
    print_plan(plan)?;
    ledger_run.run_faults(plan, &mut running, &interrupt)?;
    for proxy in ledger_run.all_proxies() {
        proxy.set(skyring_bench::Faults::default());
    }
    let result = running.finish()?;
    let cuts = ledger_run.all_proxies().map(|proxy| proxy.counts().cut).sum();
    ledger_run.node.stop();
    ledger_run.callee.process().end(STOP_TIME_MAX)?;
    if let Some((mut backup, _)) = ledger_run.backup {
        backup.process().end(STOP_TIME_MAX)?;
    }
    report(plan, &result, cuts, &ledger_run.samples)?;
    Ok(result.violations.total())
}

impl LedgerRun {
    fn start(plan: &Plan, interrupt: Interrupt) -> Result<LedgerRun, LedgerRunError> {
        let scratch = TempDir::new("ledger")?;
        let mut watch = Supervisor::new(interrupt, |_| {});
        let mut start = |name, (_, kind)| {
            let node_plan = NodePlan {
                name,
                threads: plan.common.threads as usize,
                spin_us: 0,
                runtime: plan.runtime,
                service: ("ledger", kind),
            };
            NodeProcess::start(&mut watch, &rig_node_program()?, scratch.path(), &node_plan)
                .map_err(LedgerRunError::from)
        };
        let callee = start(CALLEE, JOURNALS[0])?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let proxy = |callee: &NodeProcess| ChaosProxy::start(listen, callee.address(), plan.network);
        let proxies = [proxy(&callee)?, proxy(&callee)?];
        let mut map = ClusterMap::new().with(CALLEE, &proxies[0].address().to_string())?;
        let mut backup = None;
        if plan.common.group {
            let server = start(BACKUP, JOURNALS[1])?;
            let proxy = proxy(&server)?;
            map = map
                .with(BACKUP, &proxy.address().to_string())?
                .with_group(GROUP, Group::new(Policy::Failover, [CALLEE, BACKUP])?)?;
            backup = Some((server, proxy));
        }
        let mut builder = Node::builder()
            .threads(plan.common.threads as usize)
            .first_cpu(plan.common.threads as usize)
            .runtime(plan.runtime)
            .map(map)
            .channels(plan.common.channels)
            .log_to(Destination::File(scratch.path().join("callers.log")));
        if plan.common.dialect == Dialect::Skynet {
            builder = builder.dialect(DialectChoice::Skynet);
        }
        Ok(LedgerRun {
            node: builder.start()?,
            callee,
            backup,
            watch,
            proxies,
            proxy: 0,
            samples: Vec::new(),
            scratch,
        })
    }

    fn all_proxies(&self) -> impl Iterator<Item = &ChaosProxy> {
        let backup = self.backup.iter().map(|(_, proxy)| proxy);
        self.proxies.iter().chain(backup)
    }

    /// The memory of all callees, in bytes.
    fn callee_bytes(&mut self) -> u64 {
        let mut processes = vec![self.callee.process().id()];
        processes.extend(self.backup.iter_mut().map(|(backup, _)| backup.process().id()));
        processes.into_iter().filter_map(resident_bytes).sum()
    }

    /// Compares both sides and injects the faults that are due, until the time is over.
    fn run_faults(
        &mut self,
        plan: &Plan,
        running: &mut RunningLedger,
        interrupt: &Interrupt,
    ) -> Result<(), LedgerRunError> {
        let mut timetable = Timetable::new(plan.processes.clone(), Instant::now());
        let sample_time = (plan.duration / SAMPLES_MAX as u32).max(SAMPLE_TIME_MIN);
        let line_time = (plan.duration / LINES_MAX).max(SAMPLE_TIME_MIN);
        let (mut sampled, mut logged) = (Duration::ZERO, Duration::ZERO);
        let (mut answered, mut failed) = (0, 0);
        let mut left_to_do = None;
        while running.elapsed() < plan.duration {
            if interrupt.requested() {
                return Err(LedgerRunError::Interrupted);
            }
            thread::sleep(STEP);
            running.step()?;
            while let Some(fault) = timetable.next(Instant::now()) {
                log_fault(running.elapsed(), fault)?;
                left_to_do = match fault {
                    Fault::Pause => Some(Fault::Resume),
                    Fault::Kill => Some(Fault::Restart),
                    Fault::Resume | Fault::Restart => None,
                    Fault::Terminate | Fault::Reload => left_to_do,
                };
                if matches!(fault, Fault::Restart | Fault::Terminate | Fault::Resume) {
                    running.record_fault();
                }
                self.inject(fault)?;
            }
            let now = running.elapsed();
            if now - sampled < sample_time {
                continue;
            }
            let seconds = (now - sampled).as_secs_f64();
            sampled = now;
            let counts = running.counts().clone();
            let latency = running.take_latency_recent();
            let sample = Sample {
                second: now.as_secs_f64(),
                calls_per_second: (counts.answered - answered) as f64 / seconds,
                failed_per_second: (counts.failed_total() - failed) as f64 / seconds,
                p50_us: latency.p50,
                p99_us: latency.p99,
                caller_bytes: resident_bytes(std::process::id()).unwrap_or(0),
                callee_bytes: self.callee_bytes(),
            };
            (answered, failed) = (counts.answered, counts.failed_total());
            self.samples.push(sample);
            if now - logged >= line_time {
                logged = now;
                log_sample(&sample, running.violations().total())?;
            }
        }
        if let Some(fault) = left_to_do {
            self.inject(fault)?;
        }
        Ok(())
    }

    fn inject(&mut self, fault: Fault) -> Result<(), LedgerRunError> {
        match fault {
            Fault::Kill => {
                self.callee.process().kill()?;
            }
            Fault::Restart => self.callee.restart(&mut self.watch)?,
            Fault::Terminate => {
                self.callee.process().end(STOP_TIME_MAX)?;
                self.callee.restart(&mut self.watch)?;
            }
            Fault::Pause => self.callee.process().pause()?,
            Fault::Resume => self.callee.process().resume()?,
            Fault::Reload => {
                self.proxy = 1 - self.proxy;
                let address = self.proxies[self.proxy].address().to_string();
                let map = ClusterMap::new().with(CALLEE, &address)?;
                self.node.block_on(move |caller| async move {
                    caller.cluster().reload(map);
                })?;
            }
        }
        Ok(())
    }
}

fn report(plan: &Plan, result: &LedgerResult, cuts: u64, samples: &[Sample]) -> Result<(), LedgerRunError> {
    let common = &plan.common;
    let lines = result_lines(result, cuts, samples);
    let is_json_printed = common.json.as_deref().is_some_and(is_stdout);
    if is_json_printed {
        print(&[result.to_json()])?;
    } else {
        print(&lines)?;
    }
    let write = |file: &Option<PathBuf>, text: &dyn Fn() -> String| match file {
        Some(file) => fs::write(file, text()).map_err(|error| LedgerRunError::Report {
            file: file.clone(),
            error,
        }),
        None => Ok(()),
    };
    if !is_json_printed {
        write(&common.json, &|| format!("{}\n", result.to_json()))?;
    }
    write(&common.csv, &|| samples_csv(samples))?;
    write(&common.html, &|| {
        samples_page("skyring bench ledger", &lines, samples)
    })
}
