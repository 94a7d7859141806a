//! Nodes that start and stop leave no descriptor and no thread behind. Alone in its binary: it counts those of
//! the whole process.

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/node.rs"]
mod node;
#[path = "common/start.rs"]
mod start;

use skyring::Runtime;

use cluster::{Echo, map_of, open, reload, serve, who};
use node::{run, wait_until};
use start::start;

const ROUNDS: usize = 20;

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a proc file system");
    tasks.count()
}

/// The open descriptors.
fn descriptors() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("a proc file system");
    open.flatten().count()
}

fn live_once() {
    let (gate, db) = (start(2), start(2));
    serve(&db, "echo", |_| Echo("db"));
    serve(&gate, "echo", |_| Echo("gate"));
    reload(
        &gate,
        map_of("db", &open(&db))
            .with("down", "127.0.0.1:1")
            .expect("a map"),
    );
    reload(&db, map_of("gate", &open(&gate)));
    assert_eq!(
        run(&gate, |caller| async move { who(&caller, "db").await }),
        Ok("db".to_owned())
    );
    assert_eq!(
        run(&db, |caller| async move { who(&caller, "gate").await }),
        Ok("gate".to_owned())
    );
    // Calls are in flight when they stop: to a node that is up, to one that is down and to one that is absent.
    for node in ["db", "down", "nowhere"] {
        drop(gate.client().node(node).call("@echo", &1));
    }
    gate.stop();
    db.stop();
}

/// Descriptors that the executors of all rounds leave open: none of ours, but one eventfd of each of glommio's.
fn executor_descriptors() -> usize {
    match Runtime::from_environment() {
        Ok(Runtime::Glommio) => ROUNDS * 2 * 2,
        _ => 0,
    }
}

#[test]
fn nodes_that_start_and_stop_twenty_times_leave_no_descriptor_and_no_thread() {
    // The first nodes allocate what the process keeps permanently.
    live_once();
    let (threads_before, descriptors_before) = (threads(), descriptors());
    for _ in 0..ROUNDS {
        live_once();
    }
    wait_until("every thread has ended", || threads() <= threads_before);
    wait_until("every descriptor is closed", || {
        descriptors() <= descriptors_before + executor_descriptors()
    });
}
