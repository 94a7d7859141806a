//! One node of a large cluster: its links, its detector and its map as they are, in virtual time, with all other nodes at the
//! other ends of its connections. Pairs of nodes do not affect each other, so what one node does says what each does.
//!
//! The test runs small clusters. The command of the chapter "Scaling" runs the same with the numbers of nodes that
//! `SKYRING_SCALING_NODES` lists, prints the table, and writes curves to the file that `SKYRING_SCALING_SVG` names:
//!
//! ```text
//! SKYRING_SCALING_NODES=100,1000,10000 cargo test --release -p skyring --lib scaling -- --nocapture
//! ```

mod others;
mod phases;
mod report;

use self::phases::{full_mesh, on_use};

/// The numbers of nodes that are measured without the variable.
const NODES: [usize; 2] = [20, 60];

fn numbers_of_nodes() -> Vec<usize> {
    let Ok(list) = std::env::var("SKYRING_SCALING_NODES") else {
        return NODES.to_vec();
    };
    let numbers = list.split(',').map(|number| number.trim().parse());
    numbers
        .map(|number| number.expect("numbers of nodes, with commas between them"))
        .collect()
}

#[test]
fn scaling_the_cost_of_a_full_mesh_grows_with_the_nodes_and_that_of_connections_in_use_does_not() {
    let mut rows = Vec::new();
    for nodes in numbers_of_nodes() {
        // Each on a thread of its own: the manual runtime belongs to its thread.
        let row = std::thread::spawn(move || (full_mesh(nodes), on_use(nodes)));
        let (mesh, used) = row.join().expect("the simulation holds");
        assert_eq!(mesh.up, nodes - 1, "all have met");
        assert_eq!(mesh.known_down, mesh.lost, "all lost nodes are known");
        assert!(
            mesh.known_down_s < 2.5,
            "a lost node is known after {} s",
            mesh.known_down_s
        );
        assert!(
            mesh.attempts_per_lost_node <= mesh.attempts_bound,
            "{} attempts in the time of {}",
            mesh.attempts_per_lost_node,
            mesh.attempts_bound
        );
        assert_eq!(mesh.up_again, nodes - 1, "all have met again");
        assert_eq!(used.calls_failed, 0, "calls connect when they are made");
        rows.push((mesh, used));
    }
    let table = report::table(&rows);
    println!("{table}");
    if let Ok(file) = std::env::var("SKYRING_SCALING_SVG") {
        std::fs::write(&file, report::svg(&rows)).expect("the file can be written");
    }
    if let [(small, small_used), .., (large, large_used)] = &rows[..] {
        let growth = large.nodes as f64 / small.nodes as f64;
        let frames = large.frames_per_s / small.frames_per_s;
        assert!(
            (frames / growth - 1.0).abs() < 0.2,
            "{frames} times the frames, {growth} times the nodes"
        );
        // With few nodes some are used again before their connections are closed.
        let used = large_used.connections / small_used.connections;
        assert!(
            used < growth / 1.2,
            "{used} times the connections, {growth} times the nodes"
        );
    }
}
