//! Three nodes are stopped and started again in turn while they are called without a pause: no call fails, and none runs
//! twice.
//!
//! Nothing here calls again: each call is made once, and what the engine answers counts. The nodes write each number that
//! they run into a file, so a call that ran twice is seen, whichever processes ran it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use skyring::config::Security;
use skyring::log::Destination;
use skyring::{Caller, ClusterMap, Node, NodeState};

use crate::common::{Folder, Running, WAIT_MAX, free_port, http_status, run_command, wait_until};

/// With it a connection takes one round trip more until it serves, in which a node may begin to stop.
const SECRET: &str = "the secret of three scenes and their callers";

const NODES: [&str; 3] = ["scene1", "scene2", "scene3"];

/// Callers that call at the same time, each with one call in flight.
const CALLERS: u64 = 24;

/// Numbers of one caller.
const NUMBERS: u64 = 10_000_000;

/// How often all nodes are restarted.
const ROUNDS: u64 = 2;

/// Calls that each way of calling answers at least between two restarts.
const CALLS_BETWEEN: u64 = 50;

/// Writes its number down, waits with some, and makes a call of its own to the group with some others, as a scene that
/// asks its neighbour does.
const WORK: &str = r#"
    local skynet = require "skynet"
    local cluster = require "skynet.cluster"
    local ledger = assert(io.open(skynet.getenv "ledger", "a"))
    skynet.start(function()
        skynet.dispatch("lua", function(_, _, number, is_nested)
            ledger:write(number, "\n")
            ledger:flush()
            if number % 5 == 0 then
                skynet.sleep(number % 4)
            end
            if is_nested then
                assert(cluster.call("scene", "@work", number + 1, false) == number + 1)
            end
            skynet.ret(skynet.pack(number))
        end)
    end)"#;

/// Three nodes with their files, and the map by which all find them.
struct Scenes {
    folder: Folder,
    admin: [u16; 3],
    map: String,
}

impl Scenes {
    fn new(options: &str, has_secret: bool) -> Scenes {
        let folder = Folder::new();
        folder.write("work.lua", WORK);
        folder.write("main.lua", "require('skynet').start(function() end)");
        let mut map = String::new();
        for name in NODES {
            writeln!(map, "{name} = \"127.0.0.1:{}\"", free_port()).expect("a String takes it");
        }
        let members = NODES.map(|name| format!("\"{name}\"")).join(", ");
        write!(
            map,
            "__groups = {{ scene = {{ {members}, policy = \"hash\" }}, any = {{ {members}, policy = \"round-robin\" }} }}\n\
             {options}\n"
        )
        .expect("a String takes it");
        folder.write("clustername.lua", &map);
        let admin = NODES.map(|_| free_port());
        let secret = match has_secret {
            true => format!("cluster_secret = \"{SECRET}\""),
            false => String::new(),
        };
        for (name, port) in NODES.iter().zip(admin) {
            let services = folder.path("?.lua");
            folder.write(
                &format!("config_{name}"),
                format!(
                    "thread = 2\ncluster = \"./clustername.lua\"\nopen = \"{name}\"\nchannels = 2\n\
                     admin = \"127.0.0.1:{port}\"\nluaservice = \"{}\"\nledger = \"{}\"\n\
                     services = {{ work = \"snlua work\", echo = \"keyed echo\" }}\n{secret}\n",
                    services.display(),
                    folder.path(&format!("ledger_{name}")).display()
                ),
            );
        }
        Scenes { folder, admin, map }
    }

    /// Starts a node, and waits until it says that it is ready.
    fn start(&self, index: usize) -> Running {
        let config = self.folder.path(&format!("config_{}", NODES[index]));
        let mut node = Running::node_of(&mut run_command(&config));
        wait_until("the node is ready", || {
            assert!(node.is_running(), "{}", node.written());
            http_status(self.admin[index], "/readyz") == 200
        });
        node
    }

    /// How often each number ran.
    fn runs(&self) -> HashMap<u64, u32> {
        let mut runs = HashMap::new();
        for name in NODES {
            let ledger =
                fs::read_to_string(self.folder.path(&format!("ledger_{name}"))).expect("it ran calls");
            for line in ledger.lines() {
                *runs.entry(line.parse().expect("a number")).or_insert(0) += 1;
            }
        }
        runs
    }
}

/// The nodes that a caller calls: one node by its name, or a group.
fn target(caller: u64, has_single: bool) -> &'static str {
    match caller % 3 {
        0 => "scene",
        1 => "any",
        _ if has_single => NODES[(caller / 3 % 3) as usize],
        _ => "scene",
    }
}

/// Calls until it is over, each number once; returns the numbers that ran, those of calls within calls included.
async fn call(
    caller: Caller,
    own: u64,
    target: &'static str,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Result<Vec<u64>, String> {
    let node = caller.node(target).key(own);
    let mut ran = Vec::new();
    for count in 0..NUMBERS / 2 {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let number = own * NUMBERS + 2 * count;
        let fault = |what: &dyn std::fmt::Display| format!("call {number} to {target}: {what}");
        if count % 4 == 0 {
            let echoed = node.call("@echo", &number).await.map_err(|error| fault(&error))?;
            assert_eq!(echoed.unpack::<u64>(), Ok(number));
        } else {
            let is_nested = count % 3 == 0;
            let result = node
                .call("@work", &(number, is_nested))
                .await
                .map_err(|error| fault(&error))?;
            assert_eq!(result.unpack::<u64>(), Ok(number));
            ran.push(number);
            ran.extend(is_nested.then_some(number + 1));
        }
        answered.fetch_add(1, Ordering::AcqRel);
    }
    Ok(ran)
}

/// The callers, and how many calls of each were answered.
struct Callers {
    node: Node,
    is_over: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicU64>>,
    results: Vec<Receiver<Result<Vec<u64>, String>>>,
}

impl Callers {
    fn start(map: &str, has_single: bool, has_secret: bool) -> Callers {
        let mut builder = Node::builder();
        if has_secret {
            builder = builder.security(Security::new(&[SECRET]).expect("a secret"));
        }
        let node = builder
            .threads(2)
            .channels(2)
            .map(ClusterMap::parse(map, "map").expect("a map"))
            .log_to(Destination::File("/dev/null".into()))
            .start()
            .expect("a node starts");
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut answered, mut results) = (Vec::new(), Vec::new());
        for own in 0..CALLERS {
            let (is_over, count) = (Arc::clone(&is_over), Arc::new(AtomicU64::new(0)));
            answered.push(Arc::clone(&count));
            let target = target(own, has_single);
            let result = node.run(move |caller| call(caller, own, target, is_over, count));
            results.push(result.expect("the job is accepted"));
        }
        Callers {
            node,
            is_over,
            answered,
            results,
        }
    }

    /// Waits until each caller has had some more answers. One that has failed has none.
    fn wait_for_calls(&mut self) {
        let goals: Vec<u64> = self
            .answered
            .iter()
            .map(|count| count.load(Ordering::Acquire) + CALLS_BETWEEN)
            .collect();
        wait_until("all callers have answers", || {
            for result in &self.results {
                if let Ok(result) = result.try_recv() {
                    panic!("{:?}", result.map(|ran| ran.len()));
                }
            }
            let pairs = self.answered.iter().zip(&goals);
            pairs
                .into_iter()
                .all(|(count, goal)| count.load(Ordering::Acquire) >= *goal)
        });
    }

    fn state(&self, name: &'static str) -> NodeState {
        let state = self
            .node
            .block_on(move |caller| async move { caller.cluster().state(name) });
        state.expect("the node runs")
    }

    /// Ends the callers; all numbers that ran.
    fn end(self) -> Vec<u64> {
        self.is_over.store(true, Ordering::Release);
        let mut ran = Vec::new();
        for result in self.results {
            ran.extend(
                result
                    .recv_timeout(WAIT_MAX)
                    .expect("it ends")
                    .expect("no call fails"),
            );
        }
        ran
    }
}

/// Restarts the nodes in turn under load; `after_restart` waits before the next node's turn.
fn restart_all(
    options: &str,
    has_single: bool,
    has_secret: bool,
    after_restart: impl Fn(&Callers, &'static str),
) {
    let scenes = Scenes::new(options, has_secret);
    let mut nodes = [0, 1, 2].map(|index| scenes.start(index));
    let mut callers = Callers::start(&scenes.map, has_single, has_secret);
    for _ in 0..ROUNDS {
        for (index, node) in nodes.iter_mut().enumerate() {
            callers.wait_for_calls();
            node.signal("TERM");
            assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
            assert!(
                !node.written().contains("stopping although"),
                "{}",
                node.written()
            );
            *node = scenes.start(index);
            after_restart(&callers, NODES[index]);
        }
    }
    callers.wait_for_calls();
    let ran = callers.end();
    let runs = scenes.runs();
    assert!(
        ran.iter().all(|number| runs.get(number) == Some(&1)),
        "a call was answered and did not run once"
    );
    assert_eq!(runs.len(), ran.len(), "a call ran that was not answered");
    println!("{} calls were answered during {} restarts", ran.len(), ROUNDS * 3);
}

#[test]
fn with_calls_that_wait_nodes_are_restarted_one_right_after_the_other_and_no_call_fails_or_runs_twice() {
    restart_all("__when_down = \"wait\"", true, false, |_, _| {});
}

#[test]
fn the_same_holds_with_a_cluster_secret() {
    restart_all("__when_down = \"wait\"", true, true, |_, _| {});
}

#[test]
fn with_groups_alone_nodes_are_restarted_when_the_one_before_is_seen_and_no_call_fails_or_runs_twice() {
    restart_all("", false, false, |callers, name| {
        wait_until("the node is seen", || callers.state(name) == NodeState::Up);
    });
}
