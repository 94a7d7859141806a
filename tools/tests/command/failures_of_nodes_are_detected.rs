//! A node in this process detects that a node in another process is paused, killed, cut off or stopped: calls to it fail
//! with the right cause, and are answered again when it is up.
//!
//! The tests print the times of detection, which depend on the load of the machine; they assert the events and their
//! causes.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{ClusterMap, Error, Node, NodeChange, NodeEvent, NodeState};

use crate::common::{Folder, Running, WAIT_MAX, free_port, run_command, wait_until};

/// A node that calls `db`, and the events of `db`.
struct Gate {
    node: Node,
    events: Receiver<NodeEvent>,
}

impl Gate {
    fn start(address: &str) -> Gate {
        let map = ClusterMap::new().with("db", address).expect("an address");
        let node = Node::builder()
            .map(map)
            .log_to(Destination::File("/dev/null".into()))
            .start()
            .expect("a node");
        let (sender, events) = channel();
        let monitored = node.run(|caller| async move {
            let mut monitor = caller.cluster().monitor("db").expect("capacity for a monitor");
            while sender.send(monitor.next().await).is_ok() {}
        });
        monitored.expect("capacity for it");
        Gate { node, events }
    }

    fn call(&self) -> Result<String, Error> {
        let call = self.node.client().node("db").call("@echo", "here");
        call.wait()?.unpack()
    }

    /// Waits for one of these changes; returns its cause, and the time since `since`.
    #[track_caller]
    fn wait_for(&self, changes: &[NodeChange], since: Instant) -> (String, Duration) {
        loop {
            let event = self.events.recv_timeout(WAIT_MAX).expect("an event comes");
            if changes.contains(&event.change) {
                return (event.cause.to_string(), since.elapsed());
            }
        }
    }

    /// Calls until a call is answered; returns the time since `since`.
    #[track_caller]
    fn wait_for_answer(&self, since: Instant) -> Duration {
        wait_until("a call is answered", || self.call().is_ok());
        since.elapsed()
    }

    /// Asserts that calls to the node fail at once, without having run, with `part` in their cause.
    #[track_caller]
    fn assert_fails_at_once(&self, part: &str) {
        let started = Instant::now();
        for _ in 0..50 {
            let error = self.call().expect_err("it is down");
            assert_eq!(
                (error.code(), error.may_have_run()),
                ("unreachable", false),
                "{error}"
            );
            assert!(error.to_string().contains(part), "{error}");
        }
        // Calls that waited would take 30 s each.
        assert!(started.elapsed() < WAIT_MAX, "{:?}", started.elapsed());
    }

    fn state(&self) -> NodeState {
        let state = self
            .node
            .block_on(|caller| async move { caller.cluster().state("db") });
        state.expect("a running node")
    }
}

/// A database node in its own process, and a gate that has called it.
fn database() -> (Folder, Running, Gate) {
    let (folder, db, address) = Running::db();
    let gate = Gate::start(&address);
    assert_eq!(gate.call().expect("an answer"), "here");
    gate.wait_for(&[NodeChange::Up], Instant::now());
    (folder, db, gate)
}

#[test]
fn a_paused_node_is_down_and_answers_again_when_it_is_resumed() {
    let (_folder, db, gate) = database();
    db.signal("STOP");
    let paused = Instant::now();
    // One call is in flight when the node stops. The signal takes a moment to stop all threads.
    let error = loop {
        match gate.call() {
            Ok(_) => assert!(paused.elapsed() < WAIT_MAX, "it is not paused"),
            Err(error) => break error,
        }
    };
    let (cause, down_after) = gate.wait_for(&[NodeChange::Down], paused);
    assert!(cause.contains("no sign of life"), "{cause}");
    assert!(error.to_string().contains("no sign of life"), "{error}");
    assert_eq!(
        (error.code(), error.may_have_run()),
        ("connection-lost", true),
        "{error}"
    );
    gate.assert_fails_at_once("no sign of life");
    assert_eq!(gate.state(), NodeState::Down);
    thread::sleep(Duration::from_secs(1));
    gate.assert_fails_at_once("no sign of life");
    db.signal("CONT");
    let back_after = gate.wait_for_answer(Instant::now());
    println!("paused: down after {down_after:?}, answering {back_after:?} after it was resumed");
    let (_, _) = gate.wait_for(&[NodeChange::Up], Instant::now());
    assert_eq!(gate.node.metrics().nodes_restarted.get(), 0);
}

#[test]
fn a_killed_node_is_suspect_at_once_and_restarted_when_it_answers_again() {
    let (folder, mut db, gate) = database();
    db.signal("KILL");
    let killed = Instant::now();
    let (_, suspect_after) = gate.wait_for(&[NodeChange::Suspect], killed);
    let (cause, down_after) = gate.wait_for(&[NodeChange::Down], killed);
    // On a busy machine its silence may be detected before the end of the connection.
    let expected = ["refused", "no sign of life"]
        .into_iter()
        .find(|expected| cause.contains(expected));
    gate.assert_fails_at_once(expected.unwrap_or_else(|| panic!("another cause: {cause}")));
    db.wait_for_end();
    let _db = Running::node(&folder.path("config_db"));
    let back_after = gate.wait_for_answer(Instant::now());
    println!(
        "killed: suspect after {suspect_after:?}, down after {down_after:?}, answering {back_after:?} after it listened"
    );
    gate.wait_for(&[NodeChange::Restarted], Instant::now());
}

#[test]
fn a_node_that_stops_under_load_loses_no_call_that_it_has_received() {
    let (_folder, mut db, gate) = database();
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            let work = gate.node.run(move |caller| async move {
                let db = caller.node("db");
                let (mut answered, mut refused) = (0, 0);
                while !is_over.load(Ordering::Acquire) {
                    match db.call("@echo", "under load").await {
                        Ok(_) => answered += 1,
                        Err(error) if error.code() == "unreachable" && !error.may_have_run() => {
                            refused += 1;
                            caller.sleep(Duration::from_millis(1)).await;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok((answered, refused))
            });
            work.expect("capacity for it")
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    db.signal("TERM");
    let (cause, _) = gate.wait_for(&[NodeChange::Down], Instant::now());
    assert!(cause.contains("goodbye"), "{cause}");
    assert_eq!(db.wait_for_end().code(), Some(0), "{}", db.written());
    gate.assert_fails_at_once("");
    is_over.store(true, Ordering::Release);
    let mut sum = 0;
    for caller in callers {
        let counted: Result<(u64, u64), Error> = caller.recv_timeout(WAIT_MAX).expect("it ends");
        let (answered, refused) = counted.expect("no call was lost");
        assert!(answered > 0 && refused > 0, "{answered} {refused}");
        sum += answered;
    }
    println!("stopped under load after {sum} answered calls");
}

/// A network namespace that is reached over a pair of interfaces, removed on drop.
struct Network {
    name: String,
    /// The address in the namespace.
    address: String,
}

impl Network {
    /// Creates a namespace; an error is the reason why this machine does not allow it.
    fn new() -> Result<Network, String> {
        let number = std::process::id();
        let name = format!("skyring{number}");
        let (block, host) = (number / 60 % 250, number % 60 * 4);
        let network = Network {
            address: format!("10.213.{block}.{}", host + 2),
            name,
        };
        let (name, outside) = (&network.name, format!("sky{}", number % 1_000_000));
        let gateway = format!("10.213.{block}.{}/30", host + 1);
        let inside = format!("{}/30", network.address);
        for step in [
            format!("ip netns add {name}"),
            format!("ip link add {outside} type veth peer name eth0 netns {name}"),
            format!("ip addr add {gateway} dev {outside}"),
            format!("ip link set {outside} up"),
            format!("ip -n {name} addr add {inside} dev eth0"),
            format!("ip -n {name} link set eth0 up"),
            format!("ip netns exec {name} iptables -L -n"),
        ] {
            run(&step)?;
        }
        Ok(network)
    }

    /// Starts or stops to drop all packets to and from a port of the namespace.
    fn drop_packets(&self, port: u16, is_cut: bool) {
        let verb = if is_cut { "-A" } else { "-D" };
        for (chain, side) in [("INPUT", "--dport"), ("OUTPUT", "--sport")] {
            let name = &self.name;
            let rule = format!("ip netns exec {name} iptables {verb} {chain} -p tcp {side} {port} -j DROP");
            run(&rule).expect("iptables worked before");
        }
    }

    /// Starts a node in the namespace.
    fn node(&self, config: &Path) -> Running {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        let program = run_command(config);
        command.arg(program.get_program()).args(program.get_args());
        Running::node_of(&mut command)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // This removes its interfaces, too, and their other ends.
        let _ = run(&format!("ip netns del {}", self.name));
    }
}

fn run(command: &str) -> Result<(), String> {
    let mut arguments = command.split(' ');
    let output = Command::new(arguments.next().unwrap_or_default())
        .args(arguments)
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

#[test]
fn a_node_whose_packets_are_dropped_is_down_and_answers_again_when_they_are_not() {
    let network = match Network::new() {
        Ok(network) => network,
        Err(cause) => {
            // Not by `println!`, which is only shown for tests that fail.
            let line = format!("skipped: this machine allows no network namespace with iptables ({cause})");
            let _ = writeln!(std::io::stderr(), "{line}");
            return;
        }
    };
    let folder = Folder::new();
    let port = free_port();
    let address = format!("{}:{port}", network.address);
    folder.write("clustername.lua", format!("db = '{address}'"));
    let config = folder.write(
        "config_db",
        "thread = 2 cluster = './clustername.lua' open = 'db' services = { echo = 'echo' }",
    );
    let _db = network.node(&config);
    let gate = Gate::start(&address);
    assert_eq!(gate.call().expect("an answer"), "here");
    network.drop_packets(port, true);
    let cut = Instant::now();
    let (cause, down_after) = gate.wait_for(&[NodeChange::Down], cut);
    assert!(cause.contains("no sign of life"), "{cause}");
    while cut.elapsed() < Duration::from_secs(10) {
        gate.assert_fails_at_once("");
        thread::sleep(Duration::from_millis(500));
    }
    network.drop_packets(port, false);
    let back_after = gate.wait_for_answer(Instant::now());
    println!("cut off: down after {down_after:?}, answering {back_after:?} after the end of the cut");
    assert_eq!(gate.node.metrics().nodes_restarted.get(), 0);
}
