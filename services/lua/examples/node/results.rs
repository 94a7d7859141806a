//! Runs the services of an example on a node of this process, and prints the results that they log.

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::node;

/// The time that a run may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(180);

/// Runs `main` and the other services, given as name and text, until it logs `ALL DONE`; prints the lines that begin with
/// `RESULT`.
pub(crate) fn run(services: &[(&str, &str)], settings: &str) -> ExitCode {
    match run_node(services, settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_node(services: &[(&str, &str)], settings: &str) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for (name, text) in services {
        fs::write(folder.path().join(name).with_extension("lua"), text)?;
    }
    let file = folder.path().join("config");
    let at = folder.path().display();
    fs::write(
        &file,
        format!("luaservice = '{at}/?.lua'\nlua_path = '{at}/?.lua'\nstart = 'main'\n{settings}\n"),
    )?;
    let log = folder.path().join("log");
    let node = node::start(&file, Some(&log))?;
    let started = Instant::now();
    let text = loop {
        let text = fs::read_to_string(&log)?;
        let is_finished =
            text.contains("ALL DONE") || text.contains("error :") || text.contains("service failed");
        if is_finished || started.elapsed() > RUN_TIME_MAX {
            break text;
        }
        thread::sleep(Duration::from_millis(100));
    };
    node.stop();
    for line in text.lines() {
        if let Some((_, result)) = line.split_once("RESULT ") {
            println!("{result}");
        }
    }
    if text.contains("ALL DONE") {
        return Ok(true);
    }
    println!("not finished; the last lines of the log:");
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(20)..] {
        println!("{line}");
    }
    Ok(false)
}
