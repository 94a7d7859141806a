//! The processes of the nodes, and what they have said so far.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::network::Network;
use super::plan::{NodesError, NodesPlan};
use crate::process::{Event, EventKind, Process};
use crate::supervisor::{Supervisor, WaitError};

/// How long the nodes may take to say their counters.
const COUNTERS_TIME_MAX: Duration = Duration::from_secs(10);

/// Time between two looks whether what is waited for has come.
const STEP: Duration = Duration::from_millis(50);

/// The name of a node, from 1.
pub(super) fn node_name(number: u32) -> String {
    format!("n{number}")
}

/// What a node has counted since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) accepted: u64,
    pub(super) connects_failed: u64,
    pub(super) calls: u64,
}

/// How a node sees another one, and since when, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) is_up: bool,
    pub(super) is_down: bool,
    pub(super) since_ms: u64,
}

/// A node's process.
struct Member {
    process: Process,
    config: PathBuf,
    is_ready: bool,
    is_alive: bool,
    counters: Counters,
    /// How often it has said its counters.
    counted: u64,
    last_line: String,
}

/// All nodes.
pub(super) struct Mesh<'a> {
    plan: &'a NodesPlan,
    network: &'a Network,
    supervisor: &'a mut Supervisor,
    members: Vec<Member>,
    by_process: HashMap<u32, usize>,
    /// How each sees each.
    seen: Vec<Vec<Seen>>,
    /// The calls that have failed: caller, callee, and the code of the error.
    pub(super) failed: BTreeMap<(usize, usize, String), u64>,
}

impl<'a> Mesh<'a> {
    /// Starts all nodes at once. `folder` gets their configs and logs; `configs` are their texts.
    pub(super) fn start(
        plan: &'a NodesPlan,
        network: &'a Network,
        supervisor: &'a mut Supervisor,
        folder: &Path,
        configs: &[String],
    ) -> Result<Mesh<'a>, NodesError> {
        let mut paths = Vec::new();
        for (place, text) in configs.iter().enumerate() {
            let path = folder.join(format!("{}.lua", node_name(place as u32 + 1)));
            fs::write(&path, text).map_err(NodesError::system(path.display().to_string()))?;
            paths.push(path);
        }
        let count = configs.len();
        let mut mesh = Mesh {
            plan,
            network,
            supervisor,
            members: Vec::new(),
            by_process: HashMap::new(),
            seen: vec![vec![Seen::default(); count]; count],
            failed: BTreeMap::new(),
        };
        for (place, config) in paths.into_iter().enumerate() {
            let process = mesh.start_process(place, &config)?;
            mesh.members.push(Member {
                process,
                config,
                is_ready: false,
                is_alive: true,
                counters: Counters::default(),
                counted: 0,
                last_line: String::new(),
            });
        }
        Ok(mesh)
    }

    fn start_process(&mut self, place: usize, config: &Path) -> Result<Process, NodesError> {
        let nodes = self.seen.len();
        let half = self.network.half_of(place, nodes);
        let program = &self.plan.program;
        let mut command = self.network.command_in_half(half, program.file.as_os_str());
        command.args(program.arguments).arg(config).arg(nodes.to_string());
        if let Some(folder) = config.parent() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped());
        let process = self
            .supervisor
            .start("node", command)
            .map_err(NodesError::system(node_name(place as u32 + 1)))?;
        self.by_process.insert(process.id(), place);
        Ok(process)
    }

    /// The number of nodes.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// The process of a node.
    pub(super) fn process_id(&self, place: usize) -> u32 {
        self.members[place].process.id()
    }

    pub(super) fn seen(&self, by: usize, node: usize) -> Seen {
        self.seen[by][node]
    }

    pub(super) fn is_ready(&self) -> bool {
        self.members.iter().all(|member| member.is_ready)
    }

    /// Waits until `is_done`, for `time_max` at most; then the error says with `so_far` how far it was.
    pub(super) fn wait_until(
        &mut self,
        what: &'static str,
        time_max: Duration,
        mut is_done: impl FnMut(&Mesh<'_>) -> bool,
        so_far: impl Fn(&Mesh<'_>) -> String,
    ) -> Result<(), NodesError> {
        let started = Instant::now();
        while !is_done(self) {
            if started.elapsed() > time_max {
                return Err(NodesError::Waited {
                    what,
                    error: WaitError::TimedOut(time_max),
                    so_far: so_far(self),
                });
            }
            self.take(STEP, what)?;
        }
        Ok(())
    }

    /// Takes what the nodes say for `time`.
    pub(super) fn listen(&mut self, time: Duration) -> Result<(), NodesError> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.take(left.min(STEP), "the nodes")?;
        }
    }

    /// Takes events until there has been none for `time`, or so many that it is worth a look.
    fn take(&mut self, time: Duration, what: &'static str) -> Result<(), NodesError> {
        let Mesh {
            supervisor,
            members,
            by_process,
            seen,
            failed,
            ..
        } = self;
        let mut events = 0;
        let ended = supervisor.wait(time, |event| {
            let place = *by_process.get(&event.id)?;
            events += 1;
            let ended = apply(event, place, members, seen, failed);
            match ended {
                true => Some(Some(place)),
                false => (events >= 64).then_some(None),
            }
        });
        match ended {
            Ok(Some(place)) => Err(NodesError::Ended {
                name: node_name(place as u32 + 1),
                last_line: members[place].last_line.clone(),
            }),
            Ok(None) | Err(WaitError::TimedOut(_)) => Ok(()),
            Err(error) => Err(NodesError::Waited {
                what,
                error,
                so_far: "nothing more is measured".to_owned(),
            }),
        }
    }

    /// Has every node that is ready make so many calls a second.
    pub(super) fn set_calls(&mut self, per_second: u32) {
        for member in self.members.iter_mut().filter(|member| member.is_ready) {
            // A node that has ended is noticed when its output ends.
            let _ = member.process.write_line(&format!("calls {per_second}"));
        }
    }

    /// The counters of all nodes, now; of one that is dead or not ready, the last that it said.
    pub(super) fn counters(&mut self) -> Result<Vec<Counters>, NodesError> {
        let mut wanted = Vec::new();
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.is_ready && member.is_alive && member.process.write_line("counters").is_ok() {
                wanted.push((place, member.counted + 1));
            }
        }
        let missing = |mesh: &Mesh<'_>| {
            let missing = wanted
                .iter()
                .filter(|(place, count)| mesh.members[*place].counted < *count);
            missing.count()
        };
        self.wait_until(
            "the counters of the nodes",
            COUNTERS_TIME_MAX,
            |mesh| missing(mesh) == 0,
            |mesh| format!("{} are missing", missing(mesh)),
        )?;
        Ok(self.members.iter().map(|member| member.counters).collect())
    }

    /// Kills a node; returns when, in milliseconds since 1970.
    pub(super) fn kill(&mut self, place: usize) -> Result<u64, NodesError> {
        let member = &mut self.members[place];
        member.is_alive = false;
        member.is_ready = false;
        member.process.kill().map_err(NodesError::system("kill"))?;
        Ok(now_ms())
    }

    /// Starts a killed node again.
    pub(super) fn restart(&mut self, place: usize) -> Result<(), NodesError> {
        self.by_process.remove(&self.process_id(place));
        let config = self.members[place].config.clone();
        // It knows nothing of the others.
        self.seen[place] = vec![Seen::default(); self.seen.len()];
        let process = self.start_process(place, &config)?;
        let member = &mut self.members[place];
        member.process = process;
        member.is_alive = true;
        Ok(())
    }
}

/// Applies what a process has said; returns whether it has ended although nobody has killed it.
fn apply(
    event: &Event,
    place: usize,
    members: &mut [Member],
    seen: &mut [Vec<Seen>],
    failed: &mut BTreeMap<(usize, usize, String), u64>,
) -> bool {
    let member = &mut members[place];
    let line = match &event.kind {
        EventKind::Line(line) => line,
        EventKind::Closed => return member.is_alive,
    };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["ready"] => member.is_ready = true,
        ["state", node, change, time] => {
            if let (Some(node), Ok(since_ms)) = (place_of(node, seen.len()), time.parse()) {
                seen[place][node] = Seen {
                    is_up: matches!(change, "up" | "restarted"),
                    is_down: change == "down",
                    since_ms,
                };
            }
        }
        ["failed", node, code] => {
            if let Some(node) = place_of(node, seen.len()) {
                *failed.entry((place, node, code.to_owned())).or_default() += 1;
            }
        }
        ["counters", accepted, connects_failed, calls] => {
            let number = |text: &str| text.parse().unwrap_or(0);
            member.counters = Counters {
                accepted: number(accepted),
                connects_failed: number(connects_failed),
                calls: number(calls),
            };
            member.counted += 1;
        }
        _ => member.last_line.clone_from(line),
    }
    false
}

/// The place of a node by its name.
fn place_of(name: &str, nodes: usize) -> Option<usize> {
    let number: usize = name.strip_prefix('n')?.parse().ok()?;
    (1..=nodes).contains(&number).then(|| number - 1)
}

/// Milliseconds since 1970, as the events of nodes have them.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
