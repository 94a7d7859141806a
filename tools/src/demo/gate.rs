//! The process of the gate: a Skyring node that executes the commands of its parent and checks their outcomes. It ends
//! with its standard input.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use skyring::config::{ConfigError, NodeConfig};
use skyring::{Address, Caller, Error, Node, NodeBuilder, Payload, StartError};
use skyring_bench::{Load, LoadModel, end_with_parent};
use thiserror::Error as ThisError;

use super::application;
use super::gate_calls::{
    CALL_TIME_MAX, CommandError, failed, ping, remote_error, send, set_and_get, set_value, unexpected,
};
use super::nodes::{BACKUP, DB, GATE, SERVICE};
use super::protocol::{GateCommand, LoadFigures, Reply};
use crate::shared::output::{EXIT_FAILURE, escape_line, fail};

/// Time after which a call to an unknown node must still be pending.
const PENDING_TIME: Duration = Duration::from_millis(300);

/// Longest time for the application to stop.
const APPLICATION_TIME_MAX: Duration = Duration::from_secs(5);

/// Calls in flight under load.
const IN_FLIGHT: usize = 256;

/// Size of the value that is read under load, in bytes.
const VALUE_BYTES: usize = 64;

/// Warm-up of the load.
const WARM_UP: Duration = Duration::from_millis(300);

/// Time between two reports of the current rate.
const RATE_INTERVAL: Duration = Duration::from_millis(200);

/// Why the gate ended.
#[derive(Debug, ThisError)]
enum GateError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("communication with the parent: {0}")]
    Parent(#[from] io::Error),
}

/// Runs the gate of a demo.
pub(super) fn run(folder: &Path) -> ExitCode {
    match serve(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn serve(folder: &Path) -> Result<(), GateError> {
    end_with_parent()?;
    let (config, map) = NodeConfig::load_with_map(&folder.join(format!("{GATE}.lua")))?;
    // Not on the processor of the databases, if there are two.
    let node = NodeBuilder::from_config(config, map).first_cpu(1).start()?;
    let mut gate = Gate {
        node,
        map_file: folder.join(format!("{GATE}_map.lua")),
        backup: String::new(),
        application: None,
    };
    reply(&Reply::Done("ready".to_owned()))?;
    for line in io::stdin().lock().lines() {
        let outcome = match GateCommand::parse(&line?) {
            Some(command) => gate.execute(command),
            None => Ok(Reply::Failed("unknown command".to_owned())),
        };
        reply(&outcome.unwrap_or_else(|error| Reply::Failed(error.to_string())))?;
    }
    Ok(())
}

fn reply(reply: &Reply) -> io::Result<()> {
    // One write, because the log goes to the same pipe.
    let line = format!("{}\n", escape_line(&reply.to_string()));
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

struct Gate {
    node: Node,
    map_file: PathBuf,
    /// The address of the node that `AddNode` adds.
    backup: String,
    /// The application: the flag that stops it, and the receiver that notifies of its end.
    application: Option<(Arc<AtomicBool>, Receiver<()>)>,
}

impl Gate {
    fn execute(&mut self, command: GateCommand) -> Result<Reply, CommandError> {
        match command {
            GateCommand::Call => self.run(set_and_get),
            GateCommand::Send => self.run(send),
            GateCommand::RemoteError => self.run(remote_error),
            GateCommand::AddNode(address) => self.add_node(address),
            GateCommand::TurnOff => self.turn_off(),
            GateCommand::StartApplication => self.start_application(),
            GateCommand::Load(seconds) => self.load(seconds),
        }
    }

    /// Runs the work of a command as a service of the node.
    fn run<W, F>(&self, work: W) -> Result<Reply, CommandError>
    where
        W: FnOnce(Caller) -> F + Send + 'static,
        F: Future<Output = Result<String, CommandError>> + 'static,
    {
        let text = self.node.block_on(work).map_err(|_| CommandError::Stopped)??;
        Ok(Reply::Done(text))
    }

    fn add_node(&mut self, address: String) -> Result<Reply, CommandError> {
        let started = Instant::now();
        let call = self.node.run(|caller| async move { ping(&caller, BACKUP).await });
        let call = call.map_err(|_| CommandError::Stopped)?;
        std::thread::sleep(PENDING_TIME);
        match call.try_recv() {
            Err(TryRecvError::Empty) => {}
            Ok(early) => {
                return Err(unexpected(
                    "a call to a node that the map lacks",
                    "that it waits",
                    &early,
                ));
            }
            Err(TryRecvError::Disconnected) => return Err(CommandError::Stopped),
        }
        self.backup = address;
        self.reload(&format!("{BACKUP} = \"{}\"", self.backup))?;
        let answer = call
            .recv_timeout(CALL_TIME_MAX)
            .map_err(|_| CommandError::Stopped)??;
        let waited = started.elapsed().as_secs_f64();
        Ok(Reply::Done(format!(
            "a call to {BACKUP}, not in the map, waited; a reload added it: {answer} after {waited:.2} s"
        )))
    }

    fn turn_off(&mut self) -> Result<Reply, CommandError> {
        self.reload(&format!("{BACKUP} = false"))?;
        let refused = self
            .node
            .block_on(|caller| async move { ping(&caller, BACKUP).await })
            .map_err(|_| CommandError::Stopped)?;
        let text = match refused {
            Err(CommandError::Call {
                error: error @ Error::Disabled { .. },
                ..
            }) => error.to_string(),
            other => {
                return Err(unexpected(
                    "a call to a disabled node",
                    "the error `disabled`",
                    &other,
                ));
            }
        };
        self.reload(&format!("{BACKUP} = \"{}\"", self.backup))?;
        let answer = self
            .node
            .block_on(|caller| async move { ping(&caller, BACKUP).await })
            .map_err(|_| CommandError::Stopped)??;
        Ok(Reply::Done(format!(
            "a call fails, \"{text}\"; enabled again: {answer}"
        )))
    }

    /// Writes the map file and reloads it. The file names one node; a reload keeps the others.
    fn reload(&self, line: &str) -> Result<(), CommandError> {
        fs::write(&self.map_file, format!("{line}\n")).map_err(|error| CommandError::File {
            file: self.map_file.clone(),
            error,
        })?;
        let reloaded = self
            .node
            .block_on(|caller| async move { caller.cluster().reload_file().await });
        reloaded
            .map_err(|_| CommandError::Stopped)?
            .map_err(failed(&format!("reload of {line}")))
    }

    fn start_application(&mut self) -> Result<Reply, CommandError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stop_there = Arc::clone(&stop);
        let ended = self.node.run(|caller| application::run(caller, stop_there));
        self.application = Some((stop, ended.map_err(|_| CommandError::Stopped)?));
        Ok(Reply::Done("the application runs".to_owned()))
    }

    fn load(&mut self, seconds: u64) -> Result<Reply, CommandError> {
        if let Some((stop, ended)) = self.application.take() {
            stop.store(true, Ordering::Relaxed);
            ended
                .recv_timeout(APPLICATION_TIME_MAX)
                .map_err(|_| CommandError::Stopped)?;
        }
        let value = "x".repeat(VALUE_BYTES);
        self.run(move |caller| async move { set_value(&caller, &value).await })?;
        let payload = Payload::pack(&("GET", "value")).map_err(failed("GET value"))?;
        let load = Load {
            node: DB.to_owned(),
            address: Address::from(SERVICE),
            payload,
            size: VALUE_BYTES,
            model: LoadModel::Closed,
            in_flight: IN_FLIGHT,
            keys: 0,
            warm_up: WARM_UP,
            duration: Duration::from_secs(seconds),
            server_process: None,
        };
        let mut running = load.start(&self.node)?;
        let (mut calls, mut reported) = (0, Instant::now());
        let result = loop {
            if let Some(result) = running.wait(RATE_INTERVAL)? {
                break result;
            }
            let (calls_now, now) = (running.calls(), Instant::now());
            let rate = (calls_now - calls) as f64 / (now - reported).as_secs_f64();
            (calls, reported) = (calls_now, now);
            // If the parent has ended, the next read of the input reports it.
            let _ = reply(&Reply::Rate(rate));
        };
        if result.calls == 0 || result.errors_total() > 0 {
            let found = format!("{} calls and the errors {:?}", result.calls, result.errors);
            return Err(unexpected("the load", "answers only", &found));
        }
        Ok(Reply::Loaded(LoadFigures {
            calls_per_second: result.calls_per_second,
            p50_us: result.latency_us.p50,
            p99_us: result.latency_us.p99,
            p999_us: result.latency_us.p999,
        }))
    }
}
