//! Erlang, where it is installed: `gen_server:call` between two nodes, one caller process for each call in
//! flight.
//!
//! Both nodes are started without the port mapper `epmd`, which would outlive them, and listen on loopback only. Their
//! module is written here, and compiled by each node for itself. Each node has one scheduler.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::client_report;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::program::installed;
use super::server_process::ServerProcess;
use crate::interrupt::Interrupt;
use crate::ports;
use crate::temp_dir::TempDir;

/// The module that both nodes run.
const MODULE: &str = include_str!("floor.erl");

/// Compiles the module in a node, before an expression.
const LOAD: &str = r#"{ok,M,B}=compile:file(floor,[binary]),{module,M}=code:load_binary(M,"floor",B),"#;

/// How long a single call may take, in milliseconds.
const CALL_TIME_MS_MAX: u32 = 5_000;

/// Longest value that is written into the client's command line, as a number of bytes to repeat.
const VALUE_BYTES_MAX: usize = 64 << 20;

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let program = installed("erl")?;
    let temp_dir = TempDir::new("erlang")?;
    fs::write(temp_dir.path().join("floor.erl"), MODULE)?;
    let address = ports::free_loopback()?;
    let node = |cpu: usize, name: &str, more: &[&str], expression: &str| {
        let mut command = launcher.run(cpu, &program);
        arguments(&mut command, settings, address.port());
        command
            .args(["-name", name])
            .args(more)
            .args(["-eval", &format!("{LOAD}{expression}.")]);
        stay_in(&mut command, temp_dir.path());
        command
    };
    let server_name = format!("floor_server_{}@127.0.0.1", address.port());
    let client_name = format!("floor_client_{}@127.0.0.1", address.port());
    let server = node(settings.server_cpu, &server_name, &[], "floor:serve()");
    let server = ServerProcess::run(server, ("erl", "listening"), address, interrupt)?;
    let call = format!(
        "floor:call('{server_name}',{},binary:copy(<<$v>>,{}),{},{},{CALL_TIME_MS_MAX})",
        settings.in_flight,
        settings.size.min(VALUE_BYTES_MAX),
        settings.warm_up.as_millis(),
        settings.duration.as_millis(),
    );
    let client = node(
        settings.client_cpu,
        &client_name,
        &["-dist_listen", "false"],
        &call,
    );
    client_report::measure(Peer::Erlang, client, server.process(), settings, interrupt)
}

fn arguments(command: &mut Command, settings: &Settings, port: u16) {
    command.args(["-noshell", "-noinput", "+S", "1:1", "+SDcpu", "1:1", "+SDio", "1"]);
    let waiting = if settings.spin.is_zero() { "none" } else { "medium" };
    command.args(["+sbwt", waiting, "+sbwtdcpu", "none", "+sbwtdio", "none"]);
    command.args([
        "-setcookie",
        "floor",
        "-start_epmd",
        "false",
        "-erl_epmd_port",
        &port.to_string(),
    ]);
    command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
}

/// Files that a node reads or writes are in the temporary directory.
fn stay_in(command: &mut Command, folder: &Path) {
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("ERL_CRASH_DUMP_BYTES", "0");
}
