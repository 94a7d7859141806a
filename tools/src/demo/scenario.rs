//! The scenario of the demo, which its parent process runs.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skyring::Runtime;
use skyring_bench::{
    Event, EventKind, Interrupt, NodePlan, NodeProcess, NodeProcessError, Process, Supervisor, TempDir,
    WaitError,
};
use thiserror::Error;

use super::application::{BACKUP_ANSWERS, REACHED_AGAIN, SWITCH, UNREACHABLE, USES};
use super::display;
use super::nodes::{BACKUP, DB, GATE};
use super::protocol::{GateCommand, LoadFigures, Reply};
use crate::shared::programs::node_program;

/// Longest time of a step.
const STEP_TIME_MAX: Duration = Duration::from_secs(15);

/// Longest time for each process to stop at the end.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Reported rates per printed line, where lines cannot be rewritten: one line per second.
const RATES_PER_LINE: u32 = 5;

/// Why the demo failed.
#[derive(Debug, Error)]
pub(super) enum DemoError {
    /// A signal.
    #[error("interrupted; all processes of the demo were ended")]
    Interrupted,
    /// Files, processes or the output.
    #[error("{what}: {error}")]
    System {
        /// The operation.
        what: &'static str,
        /// Its error.
        error: io::Error,
    },
    /// A database did not start.
    #[error(transparent)]
    Server(NodeProcessError),
    /// The gate reports that a step failed.
    #[error("{step}: {text}")]
    Step {
        /// The step.
        step: String,
        /// The reply of the gate.
        text: String,
    },
    /// A process ended that the scenario needs.
    #[error("{step}: {name} ended{}", last_line.as_ref().map_or_else(String::new, |line| format!(": {line}")))]
    Ended {
        /// The step.
        step: String,
        /// The process.
        name: &'static str,
        /// The last line that it wrote during the step.
        last_line: Option<String>,
    },
    /// An expected event did not occur.
    #[error("{step}: not seen within {} s", time_max.as_secs())]
    TimedOut {
        /// The step.
        step: String,
        /// The timeout.
        time_max: Duration,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |error| DemoError::System { what, error }
}

impl From<NodeProcessError> for DemoError {
    fn from(error: NodeProcessError) -> DemoError {
        match error {
            NodeProcessError::Waited {
                error: WaitError::Interrupted,
                ..
            } => DemoError::Interrupted,
            other => DemoError::Server(other),
        }
    }
}

/// The processes of a demo. The order of the fields is the order in which they are dropped.
struct Demo {
    gate: Process,
    db: NodeProcess,
    /// Whether the scenario itself killed `db`, and has not restarted it yet.
    db_is_killed: bool,
    backup: NodeProcess,
    watch: Supervisor,
    _scratch: TempDir,
}

/// Runs the scenario.
pub(super) fn run(seconds: u64, runtime: Runtime) -> Result<(), DemoError> {
    let interrupt = Interrupt::catch().map_err(system("watching for signals"))?;
    display::print_heading().map_err(system("printing"))?;
    let mut demo = Demo::start(interrupt, runtime)?;

    demo.step("call", GateCommand::Call)?;
    demo.step("send", GateCommand::Send)?;
    demo.step("remote error", GateCommand::RemoteError)?;
    let address = demo.backup.address().to_string();
    demo.step("reload: add", GateCommand::AddNode(address))?;
    demo.step("reload: false", GateCommand::TurnOff)?;
    demo.kill_db()?;
    demo.restart_db()?;
    let figures = demo.load(seconds)?;
    display::print_table(&figures).map_err(system("printing"))?;
    demo.end()
}

impl Demo {
    fn start(interrupt: Interrupt, runtime: Runtime) -> Result<Demo, DemoError> {
        let scratch = TempDir::new("demo").map_err(system("creating a folder"))?;
        let program = node_program().map_err(system("finding this program"))?;
        let mut watch = Supervisor::new(interrupt, display::print_event);
        let plan = |name| NodePlan {
            name,
            threads: 1,
            spin_us: 0,
            runtime,
            service: ("sdb", "simpledb"),
        };
        let mut db = NodeProcess::start(&mut watch, &program, scratch.path(), &plan(DB))?;
        let mut backup = NodeProcess::start(&mut watch, &program, scratch.path(), &plan(BACKUP))?;
        let gate = start_gate(&watch, &program.file, scratch.path(), (&db, runtime))?;
        let text = format!(
            "{DB} (pid {}, {}), {BACKUP} (pid {}, {}), {GATE} (pid {})",
            db.process().id(),
            db.address(),
            backup.process().id(),
            backup.address(),
            gate.id()
        );
        let mut demo = Demo {
            gate,
            db,
            db_is_killed: false,
            backup,
            watch,
            _scratch: scratch,
        };
        demo.await_reply("start", STEP_TIME_MAX, |_| Ok(()))?;
        demo.done("start", &text)?;
        Ok(demo)
    }

    /// Sends a command to the gate, and prints its outcome.
    fn step(&mut self, what: &str, command: GateCommand) -> Result<(), DemoError> {
        self.send(&command)?;
        match self.await_reply(what, STEP_TIME_MAX, |_| Ok(()))? {
            Reply::Done(text) => self.done(what, &text),
            other => Err(DemoError::Step {
                step: what.to_owned(),
                text: format!("the gate replied \"{other}\""),
            }),
        }
    }

    fn kill_db(&mut self) -> Result<(), DemoError> {
        self.send(&GateCommand::StartApplication)?;
        self.await_reply("kill -9 db", STEP_TIME_MAX, |_| Ok(()))?;
        self.await_line("kill -9 db", USES)?;
        let id = self.db.process().id();
        let killed = Instant::now();
        self.db_is_killed = true;
        self.db.process().kill().map_err(system("kill -9 db"))?;
        self.await_line("kill -9 db", UNREACHABLE)?;
        let detected = killed.elapsed().as_secs_f64();
        self.await_line("kill -9 db", SWITCH)?;
        self.await_line("kill -9 db", BACKUP_ANSWERS)?;
        let text = format!(
            "pid {id} killed; the gate detected it after {detected:.2} s, and its calls go on with {BACKUP}"
        );
        self.done("kill -9 db", &text)
    }

    fn restart_db(&mut self) -> Result<(), DemoError> {
        self.db.restart(&mut self.watch)?;
        self.db_is_killed = false;
        let listening = Instant::now();
        self.await_line("restart db", REACHED_AGAIN)?;
        let text = format!(
            "pid {}; the gate, untouched, reached it again {:.2} s after it listened",
            self.db.process().id(),
            listening.elapsed().as_secs_f64()
        );
        self.done("restart db", &text)
    }

    fn load(&mut self, seconds: u64) -> Result<LoadFigures, DemoError> {
        self.send(&GateCommand::Load(seconds))?;
        let mut rates = 0u32;
        let time_max = STEP_TIME_MAX + Duration::from_secs(seconds);
        let reply = self.await_reply("load", time_max, |rate| {
            rates += 1;
            display::print_rate(rate, rates % RATES_PER_LINE == 1)
        })?;
        match reply {
            Reply::Loaded(figures) => {
                self.done(
                    "load",
                    &format!("{seconds} s of GET, 256 in flight, 64-byte values"),
                )?;
                Ok(figures)
            }
            other => Err(DemoError::Step {
                step: "load".to_owned(),
                text: format!("the gate replied \"{other}\""),
            }),
        }
    }

    /// Stops the processes, and waits for their ends.
    fn end(mut self) -> Result<(), DemoError> {
        for process in [&mut self.gate, self.db.process(), self.backup.process()] {
            process.end(STOP_TIME_MAX).map_err(system("ending a process"))?;
        }
        Ok(())
    }

    fn done(&self, what: &str, text: &str) -> Result<(), DemoError> {
        display::print_ok(what, text).map_err(system("printing"))
    }

    fn send(&mut self, command: &GateCommand) -> Result<(), DemoError> {
        self.gate
            .write_line(&command.to_string())
            .map_err(system("sending a command to the gate"))
    }

    /// Waits for the reply to the last command; rates that are reported before it go to `on_rate`.
    fn await_reply(
        &mut self,
        step: &str,
        time_max: Duration,
        mut on_rate: impl FnMut(f64) -> io::Result<()>,
    ) -> Result<Reply, DemoError> {
        let reply = self.await_gate(step, time_max, |line| match Reply::parse(line) {
            Some(Reply::Rate(rate)) => on_rate(rate).err().map(Err),
            Some(reply) => Some(Ok(reply)),
            None => None,
        })?;
        match reply.map_err(system("printing"))? {
            Reply::Failed(text) => Err(DemoError::Step {
                step: step.to_owned(),
                text,
            }),
            reply => Ok(reply),
        }
    }

    /// Waits until the application of the gate logs a text.
    fn await_line(&mut self, step: &str, text: &str) -> Result<(), DemoError> {
        self.await_gate(&format!("{step}: \"{text}\""), STEP_TIME_MAX, |line| {
            line.contains(text).then_some(())
        })
    }

    /// Waits for a line of the gate. The end of any process that the scenario needs ends the wait: without its database
    /// the gate would count errors until the load is over.
    fn await_gate<T>(
        &mut self,
        step: &str,
        time_max: Duration,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, DemoError> {
        let gate = self.gate.id();
        let mut needed = vec![gate, self.backup.process().id()];
        if !self.db_is_killed {
            needed.push(self.db.process().id());
        }
        let mut last_lines = HashMap::new();
        let found = self.watch.wait(time_max, |event: &Event| match &event.kind {
            EventKind::Closed if needed.contains(&event.id) => {
                Some(Err((event.name, last_lines.remove(&event.id))))
            }
            EventKind::Closed => None,
            EventKind::Line(line) => {
                last_lines.insert(event.id, line.clone());
                let found = if event.id == gate { find(line) } else { None };
                found.map(Ok)
            }
        });
        let step = step.to_owned();
        match found {
            Ok(Ok(found)) => Ok(found),
            Ok(Err((name, last_line))) => Err(DemoError::Ended {
                step,
                name,
                last_line,
            }),
            Err(WaitError::Interrupted) => Err(DemoError::Interrupted),
            Err(WaitError::TimedOut(time_max)) => Err(DemoError::TimedOut { step, time_max }),
        }
    }
}

/// Writes the config and the map of the gate, which names only the first database, and starts the gate.
fn start_gate(
    watch: &Supervisor,
    program: &Path,
    folder: &Path,
    (db, runtime): (&NodeProcess, Runtime),
) -> Result<Process, DemoError> {
    let config = format!("thread = 1\nruntime = \"{runtime}\"\nharbor = 0\ncluster = \"{GATE}_map.lua\"\n");
    let map = format!("{DB} = \"{}\"\n", db.address());
    fs::write(folder.join(format!("{GATE}.lua")), config)
        .and_then(|()| fs::write(folder.join(format!("{GATE}_map.lua")), map))
        .map_err(system("writing the files of the gate"))?;
    let mut command = Command::new(program);
    command
        .args(["demo", "--gate-process"])
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::piped());
    watch.start(GATE, command).map_err(system("starting the gate"))
}
