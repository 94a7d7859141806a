//! Measures floors and peers by hand:
//! `cargo run --release -p skyring-bench --example floors -- [--in-flight N] [--size N] [--seconds N]
//! [--spin-us N] [--rounds N] [--skynet DIR] [NAME...]`. Without names it measures all of them.

use std::process::ExitCode;
use std::time::Duration;

use skyring_bench::Interrupt;
use skyring_bench::floors::{Launcher, Peer, PeerError, Settings, serve};
use skyring_bench::{duration, grouped};

/// The subcommand under which this program is a server.
const SERVER: &str = "floor-server";

fn main() -> ExitCode {
    let outcome = match std::env::args_os().nth(1) {
        Some(first) if first == SERVER => {
            serve(&std::env::args_os().skip(2).collect::<Vec<_>>()).map_err(|error| error.to_string())
        }
        _ => measure(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("floors: {text}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let mut settings = Settings {
        in_flight: 256,
        size: 64,
        duration: Duration::from_secs(3),
        warm_up: Duration::from_secs(1),
        spin: Duration::ZERO,
        server_cpu: 0,
        client_cpu: 1,
        skynet: None,
    };
    let mut peers = Vec::new();
    let mut rounds = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            peers.push(Peer::named(&argument).ok_or(format!("{argument}: no such peer"))?);
            continue;
        }
        let value = arguments
            .next()
            .ok_or(format!("{argument}: a value is missing"))?;
        let number = || {
            value
                .parse::<usize>()
                .map_err(|error| format!("{argument} {value}: {error}"))
        };
        match argument.as_str() {
            "--in-flight" => settings.in_flight = number()?,
            "--size" => settings.size = number()?,
            "--seconds" => settings.duration = Duration::from_secs(number()? as u64),
            "--spin-us" => settings.spin = Duration::from_micros(number()? as u64),
            "--rounds" => rounds = number()?,
            "--skynet" => settings.skynet = Some(value.into()),
            _ => return Err(format!("{argument}: no such option")),
        }
    }
    if peers.is_empty() {
        peers.extend(Peer::ALL);
    }
    let launcher = Launcher::this_program(SERVER).map_err(|error| error.to_string())?;
    let interrupt = Interrupt::catch().map_err(|error| error.to_string())?;
    println!(
        "{:16} {:>12} {:>9} {:>9} {:>9} {:>9} {:>7} {:>6} {:>6}",
        "peer", "calls/s", "p50", "p99", "p99.9", "max", "errors", "client", "server"
    );
    for _ in 0..rounds {
        for &peer in &peers {
            match peer.measure(&settings, &launcher, &interrupt) {
                Ok(measured) => println!(
                    "{:16} {:>12} {:>9} {:>9} {:>9} {:>9} {:>7} {:>5.0}% {:>5.0}%",
                    measured.name,
                    grouped(measured.calls_per_second),
                    duration(measured.latency_us.p50),
                    duration(measured.latency_us.p99),
                    duration(measured.latency_us.p999),
                    duration(measured.latency_us.max),
                    measured.errors,
                    measured.cpu_seconds.client / measured.seconds * 100.0,
                    measured.cpu_seconds.server.unwrap_or(f64::NAN) / measured.seconds * 100.0,
                ),
                Err(PeerError::Interrupted) => return Err(PeerError::Interrupted.to_string()),
                Err(error) => println!("{:16} {error}", peer.name()),
            }
        }
    }
    Ok(())
}
