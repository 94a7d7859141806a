//! How the tests of this folder start nodes.

use std::net::TcpListener;

use crate::node::{Running, folder, run_to_end, start_in};

/// A port of this machine on which nothing listens now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Starts a node with these files, the first service being `main.lua`. Further lines of the config are added as they
/// are.
pub(crate) fn start(files: &[(&str, &str)], config: &str) -> Running {
    start_in(folder(files), config)
}

/// Runs a program in Lua to its end, on a node of two shards: see [`run_to_end`].
#[track_caller]
pub(crate) fn run(main: &str, services: &[(&str, &str)]) -> Running {
    run_to_end(main, services, "")
}
