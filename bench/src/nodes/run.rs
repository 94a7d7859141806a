//! The phases of the measurement, one after the other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::bound::attempts_max;
use super::etcd;
use super::mesh::{Counters, Mesh, node_name, now_ms};
use super::network::Network;
use super::plan::{NodesError, NodesPlan};
use super::result::{Growth, Killed, NodesResult, Parted, Retries, Spread};
use crate::cpu::cpu_seconds;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::memory::{proportional_bytes, resident_bytes};
use crate::supervisor::Supervisor;
use crate::temp_dir::TempDir;

/// How long the nodes may take to meet, or to notice, and how much longer for each of them: they share processors.
const PHASE_TIME_MAX: Duration = Duration::from_secs(60);
const PHASE_TIME_PER_NODE: Duration = Duration::from_millis(600);

/// How long calls run before a fault.
const CALLS_TIME: Duration = Duration::from_secs(2);

/// How long the nodes settle before they are left alone.
const SETTLE_TIME: Duration = Duration::from_secs(3);

/// How long calls that began before the end of a fault may take to fail.
const AFTERMATH_TIME: Duration = Duration::from_secs(1);

/// Time between two looks at the counters.
const SAMPLE_TIME: Duration = Duration::from_millis(500);

/// Runs all phases; `show` is told what begins.
///
/// # Errors
/// [`NodesError`]; then no process is left.
pub fn measure_nodes(
    plan: &NodesPlan,
    interrupt: &Interrupt,
    show: &dyn Fn(&str),
) -> Result<NodesResult, NodesError> {
    let folder = TempDir::new("nodes").map_err(NodesError::system("a folder for configs"))?;
    let (network, not_parted_because) = Network::new()?;
    // Processes are ended before their network and their folder are removed.
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let etcd = match plan.with_etcd && etcd::is_installed() {
        true => Some(etcd::start(&mut supervisor, &network, folder.path())?),
        false => None,
    };
    let etcd_process = etcd.as_ref().map(|etcd| etcd.id());
    let configs = configs(plan, &network, folder.path(), etcd.is_some())?;
    show("all nodes start");
    let mut phases = Phases {
        time_max: PHASE_TIME_MAX + PHASE_TIME_PER_NODE * plan.nodes,
        nodes: configs.len(),
        began_ms: now_ms(),
        mesh: Mesh::start(plan, &network, &mut supervisor, folder.path(), &configs)?,
        plan,
        network: &network,
    };
    let start = phases.start()?;
    show("the nodes are left alone");
    phases.mesh.listen(SETTLE_TIME)?;
    let ids: Vec<u32> = (0..phases.nodes)
        .map(|place| phases.mesh.process_id(place))
        .collect();
    let bytes = |of: fn(u32) -> Option<u64>| {
        Spread::of(
            ids.iter()
                .filter_map(|id| of(*id))
                .map(|bytes| bytes as f64)
                .collect(),
        )
    };
    let (resident_bytes, proportional_bytes) = (bytes(resident_bytes), bytes(proportional_bytes));
    let began = Instant::now();
    let before: Vec<_> = ids.iter().map(|id| cpu_seconds(*id)).collect();
    let etcd_before = etcd_process.and_then(cpu_seconds);
    phases.mesh.listen(plan.idle_time)?;
    let idle_seconds = began.elapsed().as_secs_f64();
    let percent = |before: Option<f64>, id: u32| Some((cpu_seconds(id)? - before?) / idle_seconds * 100.0);
    let used = ids
        .iter()
        .zip(before)
        .filter_map(|(id, before)| percent(before, *id));
    let idle_processor_percent = Spread::of(used.collect());
    let etcd_processor_percent = etcd_process.and_then(|id| percent(etcd_before, id));
    show("one node is killed");
    let killed = phases.kill()?;
    let parted = match &network {
        Network::Loopback { .. } => None,
        Network::Halves(_) => {
            show("the network is parted");
            Some(phases.part()?)
        }
    };
    Ok(NodesResult {
        nodes: plan.nodes,
        threads: plan.threads,
        found_by: match etcd_process {
            Some(_) => "etcd".to_owned(),
            None => "a watched map file".to_owned(),
        },
        lease_s: plan.lease_s,
        down_after_ms: plan.down_after.as_millis() as u64,
        machine: Machine::this(),
        start,
        resident_bytes,
        proportional_bytes,
        idle_seconds,
        idle_processor_percent,
        etcd_processor_percent,
        killed,
        parted,
        not_parted_because,
    })
}

/// The config of each node.
fn configs(
    plan: &NodesPlan,
    network: &Network,
    folder: &Path,
    with_etcd: bool,
) -> Result<Vec<String>, NodesError> {
    let nodes = plan.nodes as usize;
    let mut configs = Vec::new();
    let mut map = String::new();
    for place in 0..nodes {
        let name = node_name(place as u32 + 1);
        let address = network.address_of(place, nodes)?;
        map.push_str(&format!("{name} = \"{address}\"\n"));
        let etcd = network.etcd_of_half(network.half_of(place, nodes));
        let source = match with_etcd {
            true => format!(
                "discovery = {{ etcd = {{ \"{etcd}\" }}, prefix = \"/skyring/nodes/\", advertise = \"{address}\", lease_s = {} }}",
                plan.lease_s
            ),
            false => "cluster = \"map.lua\"\ndiscovery = { watch = true }".to_owned(),
        };
        configs.push(format!(
            "thread = {}\nlogger = \"{name}.log\"\nopen = \"{name}\"\ndown_after_ms = {}\nservices = {{ echo = \"echo\" }}\n{source}\n",
            plan.threads,
            plan.down_after.as_millis()
        ));
    }
    fs::write(folder.join("map.lua"), map).map_err(NodesError::system("map.lua"))?;
    Ok(configs)
}

/// The nodes, and what each phase needs.
struct Phases<'a> {
    plan: &'a NodesPlan,
    network: &'a Network,
    mesh: Mesh<'a>,
    nodes: usize,
    began_ms: u64,
    time_max: Duration,
}

/// Counters at several moments.
struct Samples {
    first: Vec<Counters>,
    last: Vec<Counters>,
    at: Instant,
    per_second_max: f64,
}

impl Samples {
    fn begin(first: Vec<Counters>) -> Samples {
        Samples {
            last: first.clone(),
            first,
            at: Instant::now(),
            per_second_max: 0.0,
        }
    }

    fn add(&mut self, now: Vec<Counters>) {
        let connects = |counters: &[Counters]| -> u64 {
            counters
                .iter()
                .map(|counters| counters.accepted + counters.connects_failed)
                .sum()
        };
        // A node that was started again counts from 0.
        let more = connects(&now).saturating_sub(connects(&self.last));
        let rate = more as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        self.per_second_max = self.per_second_max.max(rate);
        self.at = Instant::now();
        self.last = now;
    }

    fn grown(&self, of: impl Fn(&Counters) -> u64) -> impl Iterator<Item = u64> {
        let pairs = self.first.iter().zip(&self.last);
        pairs.map(move |(first, last)| of(last).saturating_sub(of(first)))
    }

    /// The attempts since the beginning, when each node had lost so many others for `time`.
    fn retries(&self, lost: usize, time: Duration) -> Retries {
        let most = self.grown(|counters| counters.connects_failed).max().unwrap_or(0);
        Retries {
            accepted: self.grown(|counters| counters.accepted).sum(),
            failed: self.grown(|counters| counters.connects_failed).sum(),
            per_second_max: self.per_second_max,
            failed_per_lost_node_max: most as f64 / lost.max(1) as f64,
            failed_per_lost_node_bound: attempts_max(time),
        }
    }
}

impl Phases<'_> {
    fn start(&mut self) -> Result<Growth, NodesError> {
        let mut samples = Samples::begin(vec![Counters::default(); self.nodes]);
        let began = Instant::now();
        self.wait(&mut samples, "until all nodes run", |mesh| mesh.is_ready())?;
        let ready_seconds = began.elapsed().as_secs_f64();
        self.wait(&mut samples, "until all nodes have met", have_all_met)?;
        Ok(Growth {
            ready_seconds,
            met_seconds: seconds_between(self.began_ms, self.last_change_ms(|_, _| true)),
            connects: samples.retries(0, began.elapsed()),
        })
    }

    /// Waits until `is_done`, and takes the counters meanwhile.
    fn wait(
        &mut self,
        samples: &mut Samples,
        what: &'static str,
        is_done: impl Fn(&Mesh<'_>) -> bool,
    ) -> Result<(), NodesError> {
        let began = Instant::now();
        loop {
            let looked = Instant::now();
            let is_due = |mesh: &Mesh<'_>| is_done(mesh) || looked.elapsed() >= SAMPLE_TIME;
            self.mesh.wait_until(what, self.time_max, is_due, missing)?;
            samples.add(self.mesh.counters()?);
            if is_done(&self.mesh) {
                return Ok(());
            }
            if began.elapsed() > self.time_max {
                // Ends at once, with how far it was.
                return self.mesh.wait_until(what, Duration::ZERO, |_| false, missing);
            }
        }
    }

    fn kill(&mut self) -> Result<Killed, NodesError> {
        let victim = self.nodes / 2;
        self.begin_calls()?;
        let mut samples = Samples::begin(self.mesh.counters()?);
        let began = Instant::now();
        let killed_ms = self.mesh.kill(victim)?;
        self.wait(&mut samples, "until all know that a node is down", |mesh| {
            (0..mesh.count()).all(|by| by == victim || mesh.seen(by, victim).is_down)
        })?;
        let known = (0..self.nodes).filter(|by| *by != victim);
        let known = known.map(|by| seconds_between(killed_ms, self.mesh.seen(by, victim).since_ms));
        let known_seconds = Spread::of(known.collect());
        self.mesh.listen(CALLS_TIME)?;
        samples.add(self.mesh.counters()?);
        let connects = samples.retries(1, began.elapsed());
        let calls = samples.grown(|counters| counters.calls).sum();
        let restarted_ms = now_ms();
        self.mesh.restart(victim)?;
        self.wait(&mut samples, "until all have met the node again", |mesh| {
            mesh.is_ready() && have_all_met(mesh)
        })?;
        self.mesh.set_calls(0);
        self.mesh.listen(AFTERMATH_TIME)?;
        let failed = |is_counted: &dyn Fn(usize, usize) -> bool| self.failed(is_counted);
        Ok(Killed {
            known_seconds,
            met_again_seconds: seconds_between(restarted_ms, self.last_change_ms(|_, _| true)),
            calls,
            failed_to_it: failed(&|_, to| to == victim),
            failed_to_others: failed(&|from, to| to != victim && from != victim),
            connects,
        })
    }

    fn part(&mut self) -> Result<Parted, NodesError> {
        let half = |place| self.network.half_of(place, self.nodes);
        let (network, nodes) = (self.network, self.nodes);
        let is_across =
            move |from: usize, to: usize| network.half_of(from, nodes) != network.half_of(to, nodes);
        let others_across = (0..nodes).filter(|place| half(*place) == 0).count();
        self.begin_calls()?;
        let mut samples = Samples::begin(self.mesh.counters()?);
        let began = Instant::now();
        let parted_ms = now_ms();
        self.network.set_forwarding(false)?;
        self.wait(
            &mut samples,
            "until each half knows that the other is down",
            |mesh| all_pairs(mesh).all(|(by, node)| !is_across(by, node) || mesh.seen(by, node).is_down),
        )?;
        let known = (0..nodes).map(|by| {
            let across = (0..nodes).filter(|node| is_across(by, *node));
            let since = across.map(|node| self.mesh.seen(by, node).since_ms).max();
            seconds_between(parted_ms, since.unwrap_or(parted_ms))
        });
        let known_seconds = Spread::of(known.collect());
        let until = Instant::now() + self.plan.parted_time;
        while Instant::now() < until {
            self.mesh.listen(SAMPLE_TIME)?;
            samples.add(self.mesh.counters()?);
        }
        let seconds = began.elapsed();
        // The larger half has lost the smaller one, so this is the stricter figure.
        let connects = samples.retries(nodes - others_across, seconds);
        let calls = samples.grown(|counters| counters.calls).sum();
        let mut after = Samples::begin(self.mesh.counters()?);
        let healed_ms = now_ms();
        self.network.set_forwarding(true)?;
        self.wait(&mut after, "until all nodes have met again", have_all_met)?;
        self.mesh.set_calls(0);
        self.mesh.listen(AFTERMATH_TIME)?;
        let failed = |is_counted: &dyn Fn(usize, usize) -> bool| self.failed(is_counted);
        Ok(Parted {
            known_seconds,
            seconds: seconds.as_secs_f64(),
            met_again_seconds: seconds_between(healed_ms, self.last_change_ms(is_across)),
            calls,
            failed_across: failed(&|from, to| is_across(from, to)),
            failed_within: failed(&|from, to| !is_across(from, to)),
            connects,
            connects_per_second_max_after: after.per_second_max,
        })
    }

    /// Begins calls, and forgets those that failed before.
    fn begin_calls(&mut self) -> Result<(), NodesError> {
        self.mesh.failed.clear();
        self.mesh.set_calls(self.plan.calls_per_second);
        self.mesh.listen(CALLS_TIME)
    }

    /// Calls that have failed, by caller and callee.
    fn failed(&self, is_counted: &dyn Fn(usize, usize) -> bool) -> u64 {
        let failed = self.mesh.failed.iter();
        let counted = failed.filter(|((from, to, _), _)| is_counted(*from, *to));
        counted.map(|(_, count)| count).sum()
    }

    /// When the last of these pairs has seen a change.
    fn last_change_ms(&self, is_counted: impl Fn(usize, usize) -> bool) -> u64 {
        let pairs = all_pairs(&self.mesh).filter(|(by, node)| is_counted(*by, *node));
        let since = pairs.map(|(by, node)| self.mesh.seen(by, node).since_ms);
        since.max().unwrap_or(0)
    }
}

/// Each node with each other.
fn all_pairs(mesh: &Mesh<'_>) -> impl Iterator<Item = (usize, usize)> {
    let nodes = mesh.count();
    (0..nodes).flat_map(move |by| {
        (0..nodes)
            .filter(move |node| *node != by)
            .map(move |node| (by, node))
    })
}

fn have_all_met(mesh: &Mesh<'_>) -> bool {
    all_pairs(mesh).all(|(by, node)| mesh.seen(by, node).is_up)
}

/// How far the nodes are, for an error.
fn missing(mesh: &Mesh<'_>) -> String {
    let up = all_pairs(mesh)
        .filter(|(by, node)| mesh.seen(*by, *node).is_up)
        .count();
    let down = all_pairs(mesh)
        .filter(|(by, node)| mesh.seen(*by, *node).is_down)
        .count();
    format!(
        "of {} pairs {up} are up and {down} are down",
        all_pairs(mesh).count()
    )
}

fn seconds_between(from_ms: u64, to_ms: u64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1_000.0
}
