//! Runs many services in Lua that call each other on a node of four shards:
//!
//! `cargo run --release -p skyring-lua --example many -- [SERVICES] [SECONDS]`, by default 1,000 and 60.
//!
//! Fails if a reply is lost or wrong, or if memory grows by more than a tenth after the first ten seconds.

mod node;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// The time that the last replies may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// The time in which memory may grow.
const WARM_UP: Duration = Duration::from_secs(10);

/// The resident memory of this process, in bytes.
fn memory_bytes() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text
        .split_whitespace()
        .nth(1)
        .ok_or("statm has no second field")?;
    Ok(pages.parse::<u64>()? * 4096)
}

fn run(services: u32, seconds: u32) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let at = folder.path().display();
    for (name, text) in [
        ("main.lua", include_str!("many/main.lua")),
        ("actor.lua", include_str!("many/actor.lua")),
    ] {
        fs::write(folder.path().join(name), text)?;
    }
    let file = folder.path().join("config");
    fs::write(
        &file,
        format!(
            "thread = 4\nluaservice = '{at}/?.lua'\nstart = 'main'\nmany = {services}\nseconds = {seconds}\n"
        ),
    )?;
    let log = folder.path().join("log");
    let node = node::start(&file, Some(&log))?;
    let mut began = None;
    let mut warm = None;
    let started = Instant::now();
    let text = loop {
        let text = fs::read_to_string(&log)?;
        if text.contains("ALL DONE") {
            break text;
        }
        if text.contains("SERVICES") {
            let began = *began.get_or_insert_with(Instant::now);
            if began.elapsed() >= WARM_UP && warm.is_none() {
                warm = Some(memory_bytes()?);
            }
            println!(
                "{:3} s  {:6.1} MB",
                began.elapsed().as_secs(),
                memory_bytes()? as f64 / 1e6
            );
        }
        if started.elapsed() > Duration::from_secs(u64::from(seconds)) + 2 * REPLY_TIMEOUT {
            println!("not finished in time; the log:\n{text}");
            return Ok(false);
        }
        thread::sleep(Duration::from_secs(1));
    };
    let last = memory_bytes()?;
    node.stop();
    let line = text
        .lines()
        .find(|line| line.contains("CALLS"))
        .unwrap_or_default();
    println!("{line}");
    let is_right = line.contains("WRONG 0");
    let is_flat = warm.is_none_or(|warm| last <= warm + warm / 10);
    if !is_flat {
        println!("memory grew from {} to {last} bytes", warm.unwrap_or_default());
    }
    Ok(is_right && is_flat)
}

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse());
    let services = numbers.next().unwrap_or(Ok(1_000));
    let seconds = numbers.next().unwrap_or(Ok(60));
    let (Ok(services), Ok(seconds)) = (services, seconds) else {
        println!("usage: many [SERVICES] [SECONDS]");
        return ExitCode::from(2);
    };
    match run(services, seconds) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
