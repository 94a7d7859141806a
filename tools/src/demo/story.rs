//! The demo's course, as its parent process tells it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skyring_bench::{
    Event, EventKind, Interrupt, NodePlan, NodeProcess, NodeProcessError, Process, Supervisor, TempDir,
    WaitError,
};
use thiserror::Error;

use super::application::{BACKUP_ANSWERS, REACHED_AGAIN, SWITCH, UNREACHABLE, USES};
use super::screen;
use super::steps::{LoadFigures, Reply, Step};
use super::{BACKUP, DB, GATE, node_program};

/// How long a step may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the processes may take to stop at the end, each.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Live rates between two that are printed where lines cannot be rewritten: one a second.
const RATES_PER_LINE: u32 = 5;

/// Why the story broke off.
#[derive(Debug, Error)]
pub(super) enum DemoError {
    /// A signal.
    #[error("interrupted; every process of the demo was ended")]
    Interrupted,
    /// Files, processes or the output.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// A database did not come up.
    #[error(transparent)]
    Server(NodeProcessError),
    /// The gate says that a step failed.
    #[error("{step}: {text}")]
    Step {
        /// The step.
        step: String,
        /// The gate's words.
        text: String,
    },
    /// The gate is gone.
    #[error("{step}: the gate ended: {said}")]
    GateEnded {
        /// The step.
        step: String,
        /// Its last line.
        said: String,
    },
    /// Something did not happen.
    #[error("{step}: not seen within {} s", time_max.as_secs())]
    TimedOut {
        /// What.
        step: String,
        /// How long it was waited for.
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
    backup: NodeProcess,
    watch: Supervisor,
    _scratch: TempDir,
}

/// Tells it all.
pub(super) fn tell(seconds: u64) -> Result<(), DemoError> {
    let interrupt = Interrupt::catch().map_err(system("watching for signals"))?;
    screen::begin().map_err(system("printing"))?;
    let mut demo = Demo::start(interrupt)?;

    demo.step("call", Step::Call)?;
    demo.step("send", Step::Send)?;
    demo.step("remote error", Step::RemoteError)?;
    let address = demo.backup.address().to_string();
    demo.step("reload: add", Step::AddNode(address))?;
    demo.step("reload: false", Step::TurnOff)?;
    demo.kill_db()?;
    demo.restart_db()?;
    let figures = demo.load(seconds)?;
    screen::table(&figures).map_err(system("printing"))?;
    demo.end()
}

impl Demo {
    fn start(interrupt: Interrupt) -> Result<Demo, DemoError> {
        let scratch = TempDir::new("demo").map_err(system("a folder for the demo's files"))?;
        let program = node_program().map_err(system("this program's own file"))?;
        let mut watch = Supervisor::new(interrupt, screen::show);
        let plan = |name| NodePlan {
            name,
            threads: 1,
            spin_us: 0,
            service: ("sdb", "simpledb"),
        };
        let mut db = NodeProcess::start(&mut watch, &program, scratch.path(), &plan(DB))?;
        let mut backup = NodeProcess::start(&mut watch, &program, scratch.path(), &plan(BACKUP))?;
        let gate = start_gate(&watch, &program.file, scratch.path(), &db)?;
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
            backup,
            watch,
            _scratch: scratch,
        };
        demo.await_reply("start", STEP_TIME_MAX, |_| Ok(()))?;
        demo.done("start", &text)?;
        Ok(demo)
    }

    /// Has the gate do a step, and shows what came of it.
    fn step(&mut self, what: &str, step: Step) -> Result<(), DemoError> {
        self.ask(&step)?;
        match self.await_reply(what, STEP_TIME_MAX, |_| Ok(()))? {
            Reply::Done(text) => self.done(what, &text),
            other => Err(DemoError::Step {
                step: what.to_owned(),
                text: format!("the gate replied \"{other}\""),
            }),
        }
    }

    fn kill_db(&mut self) -> Result<(), DemoError> {
        self.ask(&Step::StartApplication)?;
        self.await_reply("kill -9 db", STEP_TIME_MAX, |_| Ok(()))?;
        self.await_line("kill -9 db", USES)?;
        let id = self.db.process().id();
        let killed = Instant::now();
        self.db.process().kill().map_err(system("kill -9 db"))?;
        self.await_line("kill -9 db", UNREACHABLE)?;
        let noticed = killed.elapsed().as_secs_f64();
        self.await_line("kill -9 db", SWITCH)?;
        self.await_line("kill -9 db", BACKUP_ANSWERS)?;
        let text =
            format!("pid {id} killed; the gate knew after {noticed:.2} s, and its calls go on with {BACKUP}");
        self.done("kill -9 db", &text)
    }

    fn restart_db(&mut self) -> Result<(), DemoError> {
        self.db.restart(&mut self.watch)?;
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
        self.ask(&Step::Load(seconds))?;
        let mut rates = 0u32;
        let time_max = STEP_TIME_MAX + Duration::from_secs(seconds);
        let reply = self.await_reply("load", time_max, |rate| {
            rates += 1;
            screen::rate(rate, rates % RATES_PER_LINE == 1)
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

    /// Ends the processes in order, and sees that they do end.
    fn end(mut self) -> Result<(), DemoError> {
        for process in [&mut self.gate, self.db.process(), self.backup.process()] {
            process.end(STOP_TIME_MAX).map_err(system("ending a process"))?;
        }
        Ok(())
    }

    fn done(&self, what: &str, text: &str) -> Result<(), DemoError> {
        screen::done(what, text).map_err(system("printing"))
    }

    fn ask(&mut self, step: &Step) -> Result<(), DemoError> {
        self.gate
            .write_line(&step.to_string())
            .map_err(system("asking the gate for a step"))
    }

    /// Waits for the gate's reply to the step it was asked for; live rates before it go to `on_rate`.
    fn await_reply(
        &mut self,
        step: &str,
        time_max: Duration,
        mut on_rate: impl FnMut(f64) -> io::Result<()>,
    ) -> Result<Reply, DemoError> {
        let reply = self.await_gate(step, time_max, |line| match Reply::read(line) {
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

    /// Waits until the gate's application says that.
    fn await_line(&mut self, step: &str, text: &str) -> Result<(), DemoError> {
        self.await_gate(&format!("{step}: \"{text}\""), STEP_TIME_MAX, |line| {
            line.contains(text).then_some(())
        })
    }

    fn await_gate<T>(
        &mut self,
        step: &str,
        time_max: Duration,
        mut look: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, DemoError> {
        let id = self.gate.id();
        let mut said = "nothing was said".to_owned();
        let found = self.watch.wait(time_max, |event: &Event| match &event.kind {
            _ if event.id != id => None,
            EventKind::Line(line) => {
                said.clone_from(line);
                look(line).map(Some)
            }
            EventKind::Closed => Some(None),
        });
        let step = step.to_owned();
        match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(DemoError::GateEnded { step, said }),
            Err(WaitError::Interrupted) => Err(DemoError::Interrupted),
            Err(WaitError::TimedOut(time_max)) => Err(DemoError::TimedOut { step, time_max }),
        }
    }
}

/// Writes the gate's config and map, which knows only the first database, and starts it.
fn start_gate(
    watch: &Supervisor,
    program: &Path,
    folder: &Path,
    db: &NodeProcess,
) -> Result<Process, DemoError> {
    let config = format!("thread = 1\nharbor = 0\ncluster = \"{GATE}_map.lua\"\n");
    let map = format!("{DB} = \"{}\"\n", db.address());
    fs::write(folder.join(format!("{GATE}.lua")), config)
        .and_then(|()| fs::write(folder.join(format!("{GATE}_map.lua")), map))
        .map_err(system("the gate's files"))?;
    let mut command = Command::new(program);
    command
        .args(["demo", "--gate-process"])
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::piped());
    watch.start(GATE, command).map_err(system("starting the gate"))
}
