//! A node in a process of its own: this test's executable, started again to run one test, which is the node. It reads
//! commands from its standard input, and ends with it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skyring::log::Destination;
use skyring::{Answer, Caller, Context, Error, Message, Node, Open, Payload, Service};
use tempfile::TempDir;

/// Long enough for any machine; nothing waits that long unless it fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Shards of the node.
pub(crate) const SHARDS: usize = 2;

/// The environment variable with the arguments of the process: the log's file, listeners, clients of each.
const ARGUMENTS: &str = "SKYRING_HOSTILE_SERVER";

/// Bytes that `@large` answers with.
pub(crate) const LARGE_BYTES: usize = 4 << 20;

/// Answers with the request's payload.
struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

/// Answers with the request's payload, after as many milliseconds as its first value; sends take as long.
struct Late;

impl Service for Late {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let caller: Caller = (**context).clone();
        Answer::later(async move {
            let milliseconds: u64 = message.unpack()?;
            caller.sleep(Duration::from_millis(milliseconds)).await;
            Ok(message.payload)
        })
    }
}

/// Answers with the same many bytes each time.
struct Large(Bytes);

impl Service for Large {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::payload(Payload(self.0.clone()))
    }
}

async fn bring_up(caller: Caller, listeners: usize, clients_max: usize) -> Result<Vec<SocketAddr>, Error> {
    let echo = caller.launch(|_| Echo).await?;
    let late = caller.launch(|_| Late).await?;
    let large = caller
        .launch(|_| Large(Bytes::from(vec![0x4e; LARGE_BYTES])))
        .await?;
    for (name, handle) in [("echo", echo), ("late", late), ("large", large)] {
        caller.cluster().register(name, Some(handle))?;
    }
    let mut addresses = Vec::new();
    for _ in 0..listeners {
        let address = caller.cluster().open(Open::Port(0), Some(clients_max)).await?;
        addresses.push(address);
    }
    Ok(addresses)
}

/// No test but the node, when it is started for that.
#[test]
fn server_process() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let arguments: Vec<&str> = arguments.split('|').collect();
    let [log, listeners, clients_max] = arguments[..] else {
        panic!("three arguments")
    };
    let (listeners, clients_max) = (listeners.parse().unwrap(), clients_max.parse().unwrap());
    let node = Node::builder()
        .threads(SHARDS)
        .clients_per_source_max(usize::MAX)
        .accepts_per_second_max(u32::MAX)
        .log_to(Destination::File(log.into()))
        .start()
        .unwrap();
    let addresses = node
        .block_on(move |caller| bring_up(caller, listeners, clients_max))
        .unwrap()
        .unwrap();
    let ports: Vec<String> = addresses
        .iter()
        .map(|address| address.port().to_string())
        .collect();
    println!("\n>ports {}", ports.join(" "));
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "counters" => println!("\n>counters {}", node.metrics()),
            other => panic!("unknown order {other}"),
        }
    }
    node.stop();
}

/// How to start it.
pub(crate) struct Options {
    pub(crate) listeners: usize,
    pub(crate) clients_max: usize,
    /// Files that the process may open; None = as many as this one.
    pub(crate) open_files_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listeners: 1,
            clients_max: 12_000,
            open_files_max: None,
        }
    }
}

/// The node's process, from outside.
pub(crate) struct Server {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    addresses: Vec<SocketAddr>,
    folder: TempDir,
    started: Instant,
}

impl Server {
    pub(crate) fn start(options: Options) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("node.log");
        let executable = std::env::current_exe().expect("this test's executable");
        let mut command = match options.open_files_max {
            None => Command::new(executable),
            Some(files) => {
                let mut command = Command::new("sh");
                let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
                command.args(["-c", &script]).arg(executable);
                command
            }
        };
        let mut child = command
            .args([
                "--exact",
                "server::server_process",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(
                ARGUMENTS,
                format!("{}|{}|{}", log.display(), options.listeners, options.clients_max),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let commands = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix('>') {
                    let _ = sender.send(answer.to_owned());
                }
            }
        });
        let mut server = Server {
            child,
            commands,
            answers,
            addresses: Vec::new(),
            folder,
            started: Instant::now(),
        };
        let ports = server.answer("ports ");
        server.addresses = ports
            .split(' ')
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port"))))
            .collect();
        server
    }

    fn answer(&self, prefix: &str) -> String {
        let line = self
            .answers
            .recv_timeout(TIMEOUT)
            .expect("an answer of the node's process");
        line.strip_prefix(prefix).expect("the answer to that").to_owned()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The counters that are not 0.
    pub(crate) fn counters(&mut self) -> HashMap<String, u64> {
        let commands = self.commands.as_mut().expect("not stopped");
        commands.write_all(b"counters\n").expect("the process lives");
        let answer = self.answer("counters ");
        answer
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, count)| (name.to_owned(), count.parse().expect("a number")))
            .collect()
    }

    /// One counter.
    pub(crate) fn counter(&mut self, name: &str) -> u64 {
        self.counters().get(name).copied().unwrap_or(0)
    }

    /// Waits until a counter is at least that.
    pub(crate) fn wait_for(&mut self, name: &str, at_least: u64) {
        let started = Instant::now();
        while self.counter(name) < at_least {
            assert!(
                started.elapsed() < TIMEOUT,
                "{name} does not reach {at_least}: {:?}",
                self.counters()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn status(&self, key: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status
            .lines()
            .find(|line| line.starts_with(key))
            .expect("the key");
        let kilobytes = line.split_whitespace().nth(1).expect("a value");
        kilobytes.parse::<usize>().expect("a number") << 10
    }

    /// The most memory it has had, in bytes.
    pub(crate) fn memory_peak(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The memory it has, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// Descriptors that are open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).expect("its descriptors").count()
    }

    /// Waits until no more descriptors are open than that.
    pub(crate) fn wait_for_descriptors(&self, at_most: usize) {
        let started = Instant::now();
        while self.descriptors() > at_most {
            assert!(
                started.elapsed() < TIMEOUT,
                "{} descriptors stay open, and were {at_most}",
                self.descriptors()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its times");
        let after_name = stat.rsplit(')').next().expect("a name in parentheses");
        // User and system time, 14 and 15 in the manual, in hundredths of a second.
        let ticks = after_name.split_whitespace().skip(11).take(2);
        Duration::from_millis(
            ticks
                .map(|ticks| ticks.parse::<u64>().expect("a number") * 10)
                .sum(),
        )
    }

    /// Lines of its log that contain `text`.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("node.log")).expect("its log");
        log.lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }

    /// Checks that a case was logged, and not over and over: once every 10 s on each shard at most.
    pub(crate) fn check_logged_once(&self, text: &str) {
        let started = Instant::now();
        // The log line follows the count a moment later.
        while self.lines(text).is_empty() && started.elapsed() < TIMEOUT {
            std::thread::sleep(Duration::from_millis(20));
        }
        let lines = self.lines(text);
        let intervals = self.started.elapsed().as_secs() as usize / 10 + 1;
        assert!(
            (1..=SHARDS * intervals).contains(&lines.len()),
            "{} lines with \"{text}\": {lines:#?}",
            lines.len()
        );
    }

    /// Stops the node, and checks that it stops cleanly and that nothing panicked or slept too long.
    pub(crate) fn stop(mut self) {
        let counters = self.counters();
        assert_eq!(counters.get("panics"), None, "{counters:?}");
        self.commands = None;
        let started = Instant::now();
        while self.child.try_wait().expect("its end").is_none() {
            assert!(started.elapsed() < TIMEOUT, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.child.wait().expect("its end").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a failed test; one that has stopped is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
