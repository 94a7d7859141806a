//! Processes are started on free ports, their lines are received, and they are never left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use skyring::Runtime;
use skyring_bench::{
    Event, EventKind, Interrupt, NodePlan, NodeProcess, NodeProcessError, Program, Supervisor, TempDir,
    WaitError,
};

/// Longest wait of these tests.
const TIME_MAX: Duration = Duration::from_secs(20);

const PLAN: NodePlan = NodePlan {
    name: "db",
    threads: 1,
    spin_us: 0,
    runtime: Runtime::Uring,
    service: ("sdb", "simpledb"),
};

fn watch() -> Supervisor {
    Supervisor::new(Interrupt::default(), |_| {})
}

fn is_alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_start_whose_port_was_taken_is_tried_once_more_on_another() {
    let folder = TempDir::new("test").expect("a folder");
    // The shell takes the place of `skyring run`.
    let program = Program {
        file: "sh".into(),
        arguments: &[
            "-c",
            "if [ ! -e first ]; then cp db_map.lua first; echo 'error: the port is in use'; exit 2; fi\n\
             cp db_map.lua second; echo '[:00000001] Listen on it'; exec sleep 60\n",
        ],
    };
    let server = NodeProcess::start(&mut watch(), &program, folder.path(), &PLAN).expect("the second start");
    let [first, second] = ["first", "second"].map(|file| fs::read_to_string(folder.path().join(file)));
    let (first, second) = (first.expect("first start"), second.expect("second start"));
    assert_ne!(first, second);
    assert_eq!(second, format!("db = \"{}\"\n", server.address()));
}

#[test]
fn a_node_that_cannot_start_is_an_error_with_its_last_words() {
    let folder = TempDir::new("test").expect("a folder");
    let program = Program {
        file: "sh".into(),
        arguments: &[
            "-c",
            "echo run >> runs; echo 'error: no io_uring here' >&2; exit 1",
        ],
    };
    let error = NodeProcess::start(&mut watch(), &program, folder.path(), &PLAN).err();
    assert!(
        matches!(&error, Some(NodeProcessError::Ended { name: "db", last_line }) if last_line == "error: no io_uring here"),
        "{error:?}"
    );
    let runs = fs::read_to_string(folder.path().join("runs")).expect("it ran");
    assert_eq!(runs.lines().count(), 2);
}

#[test]
fn a_dropped_process_is_gone() {
    let watch = watch();
    let mut command = Command::new("sleep");
    command.arg("60");
    let process = watch.start("sleeper", command).expect("it starts");
    let id = process.id();
    assert!(is_alive(id));
    drop(process);
    assert!(!is_alive(id));
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_when_patience_ends() {
    let mut watch = watch();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]);
    let mut process = watch.start("stubborn", command).expect("it starts");
    let ready = watch.wait(TIME_MAX, |event: &Event| {
        (event.kind == EventKind::Line("ready".to_owned())).then_some(())
    });
    assert_eq!(ready, Ok(()));
    let status = process.end(Duration::from_millis(50)).expect("it ends");
    assert!(!status.success());
    assert!(!is_alive(process.id()));
}

#[test]
fn an_interrupt_ends_a_wait_before_its_time() {
    // The signal is sent to this whole process, which no longer ends by it; other tests do not check it.
    let interrupt = Interrupt::catch().expect("signals can be watched");
    let mut watch = Supervisor::new(interrupt, |_| {});
    assert_eq!(
        watch.wait(Duration::from_millis(1), |_| None::<()>),
        Err(WaitError::TimedOut(Duration::from_millis(1)))
    );
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", std::process::id())])
        .status();
    assert!(sent.expect("a shell").success());
    let started = Instant::now();
    assert_eq!(watch.wait(TIME_MAX, |_| None::<()>), Err(WaitError::Interrupted));
    assert!(started.elapsed() < TIME_MAX);
}
