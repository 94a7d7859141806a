//! Skynet, if the settings have a built checkout: `cluster.call` between two nodes, one coroutine for each call in
//! flight. And Skyring, which runs the same services.
//!
//! Configs, map and services are written here, into a temporary directory; of the checkout only its
//! program and libraries are used. Each node has one worker thread.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::client_report;
use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::program::present;
use super::server_process::ServerProcess;
use crate::interrupt::Interrupt;
use crate::ports;
use crate::temp_dir::TempDir;

/// The services that the two nodes start, which are also the names of their configs.
const SERVER: (&str, &str) = ("floor_server", include_str!("server.lua"));
const CLIENT: (&str, &str) = ("floor_client", include_str!("client.lua"));

pub(super) fn measure(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let Some(checkout) = &settings.skynet else {
        return Err(PeerError::Unavailable("no checkout was given".to_owned()));
    };
    let checkout = fs::canonicalize(checkout)
        .map_err(|error| PeerError::Unavailable(format!("{}: {error}", checkout.display())))?;
    let program = checkout.join("skynet");
    present(&program)?;
    let root = checkout.display();
    let paths = format!(
        "luaservice = \"./?.lua;{root}/service/?.lua\"\nlualoader = \"{root}/lualib/loader.lua\"\n\
         lua_path = \"{root}/lualib/?.lua;{root}/lualib/?/init.lua\"\n\
         lua_cpath = \"{root}/luaclib/?.so\"\ncpath = \"{root}/cservice/?.so\"\n"
    );
    run(Peer::Skynet, &paths, settings, interrupt, |cpu, config| {
        let mut command = launcher.run(cpu, &program);
        command.arg(config);
        command
    })
}

/// The same services on Skyring.
pub(super) fn measure_on_skyring(
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
) -> Result<PeerResult, PeerError> {
    let spin_us = settings.spin.as_micros();
    let paths = format!("luaservice = \"./?.lua\"\nspin_us = {spin_us}\n");
    run(Peer::SkyringLua, &paths, settings, interrupt, |cpu, config| {
        launcher.lua(cpu, config)
    })
}

/// Writes the configs of two nodes, with `further` lines, runs them with the commands that `node` returns, and measures.
fn run(
    peer: Peer,
    further: &str,
    settings: &Settings,
    interrupt: &Interrupt,
    node: impl Fn(usize, String) -> Command,
) -> Result<PeerResult, PeerError> {
    let temp_dir = TempDir::new(peer.name())?;
    let address = ports::free_loopback()?;
    fs::write(
        temp_dir.path().join("map.lua"),
        format!("server = \"{address}\"\n"),
    )?;
    for service in [SERVER, CLIENT] {
        write_node(temp_dir.path(), further, service, settings)?;
    }
    let node = |cpu: usize, (name, _): (&str, &str)| {
        let mut command = node(cpu, format!("{name}.config"));
        command.current_dir(temp_dir.path());
        command
    };
    let server = node(settings.server_cpu, SERVER);
    let server = ServerProcess::run(server, (peer.name(), "listening"), address, interrupt)?;
    let client = node(settings.client_cpu, CLIENT);
    client_report::measure(peer, client, server.process(), settings, interrupt)
}

/// Writes the config of a node and the service that it starts.
fn write_node(
    folder: &Path,
    further: &str,
    (name, service): (&str, &str),
    settings: &Settings,
) -> io::Result<()> {
    // Skynet counts time in hundredths of a second.
    let (warm_up, duration) = (
        settings.warm_up.as_millis() / 10,
        settings.duration.as_millis() / 10,
    );
    let config = format!(
        "thread = 1\nlogger = nil\nharbor = 0\nbootstrap = \"snlua bootstrap\"\nstart = \"{name}\"\n\
         cluster = \"./map.lua\"\n{further}\
         floor_in_flight = {}\nfloor_size = {}\nfloor_warm_up_cs = {warm_up}\nfloor_duration_cs = {duration}\n",
        settings.in_flight, settings.size,
    );
    fs::write(folder.join(format!("{name}.config")), config)?;
    fs::write(folder.join(format!("{name}.lua")), service)
}
