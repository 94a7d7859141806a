//! Runs the test scripts of a checkout of Skynet on this host and compares their output with Skynet's:
//!
//! `cargo run -p skyring-lua --example skynet-suite -- DIR [NAME …]`, by default every `test/*.lua` of DIR.
//!
//! Each script runs in a node of its own process, with a time limit. If DIR has a built `skynet`, the script runs there
//! too. The command prints a table in Markdown: same, differs and why, skipped and why. A script that differs without a
//! known reason is shown with both outputs, and the exit code is 1.
//!
//! `--builtin-lualib false` runs Skynet's own library on the host. `--show` prints all outputs.

mod compare;
#[path = "../node/mod.rs"]
mod node;
#[path = "../node/process.rs"]
mod process;
mod run;
mod scripts;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compare::Verdict;
use scripts::{Need, Script};

/// What the user asks for.
struct Arguments {
    folder: PathBuf,
    names: Vec<String>,
    builtin_lualib: bool,
    shows: bool,
}

fn parse() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        folder: PathBuf::new(),
        names: Vec::new(),
        builtin_lualib: true,
        shows: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--show" => arguments.shows = true,
            "--builtin-lualib" => match given.next().as_deref() {
                Some("true") => arguments.builtin_lualib = true,
                Some("false") => arguments.builtin_lualib = false,
                _ => return Err("--builtin-lualib is true or false".to_owned()),
            },
            flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}")),
            _ if arguments.folder.as_os_str().is_empty() => arguments.folder = argument.into(),
            _ => arguments.names.push(argument),
        }
    }
    if arguments.folder.as_os_str().is_empty() {
        return Err("usage: skynet-suite DIR [NAME …] [--builtin-lualib false] [--show]".to_owned());
    }
    Ok(arguments)
}

/// The names of the scripts in a folder, sorted.
fn names_in(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in folder
        .read_dir()
        .map_err(|error| format!("{}: {error}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lua")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A row of the table. `false`: it differs without a known reason.
fn run_script(arguments: &Arguments, script: &Script, has_skynet: bool) -> Result<bool, Box<dyn Error>> {
    let name = &script.name;
    if let Some(why) = script.needs.iter().find_map(Need::missing) {
        println!("| `{name}` | skipped | {why} |");
        return Ok(true);
    }
    let ours = run::on_skyring(&arguments.folder, script, arguments.builtin_lualib)?;
    if !has_skynet {
        let ended = if ours.is_over_time {
            "stopped at its time limit"
        } else {
            "ran"
        };
        println!("| `{name}` | {ended} | not compared: there is no built `skynet` in the folder |");
        println!("{}", indent(&ours.text));
        return Ok(true);
    }
    let theirs = run::on_skynet(&arguments.folder, script)?;
    let verdict = compare::compare(&ours, &theirs, script);
    let is_explained = match &verdict {
        Verdict::Same => {
            println!("| `{name}` | same | {} |", script.remark.unwrap_or_default());
            true
        }
        Verdict::OtherOrder => {
            println!("| `{name}` | same | lines of concurrent services in another order |");
            true
        }
        Verdict::Differs(_) => {
            println!(
                "| `{name}` | differs | {} |",
                script.remark.unwrap_or("not explained")
            );
            script.remark.is_some()
        }
    };
    if let Verdict::Differs(lines) = &verdict
        && (!is_explained || arguments.shows)
    {
        println!("{}", indent(&lines.join("\n")));
    }
    if arguments.shows {
        println!(
            "-- Skyring\n{}-- Skynet\n{}",
            indent(&ours.text),
            indent(&theirs.text)
        );
    }
    Ok(is_explained)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn suite(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let names = match arguments.names.is_empty() {
        true => names_in(&arguments.folder.join("test"))?,
        false => arguments.names.clone(),
    };
    let has_skynet = arguments.folder.join("skynet").is_file();
    println!("| script | result | |\n| --- | --- | --- |");
    let mut all_explained = true;
    for name in names {
        all_explained &= run_script(arguments, &scripts::find(&name), has_skynet)?;
    }
    Ok(all_explained)
}

fn main() -> ExitCode {
    if let Some(code) = process::run_if_node() {
        return code;
    }
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    match suite(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
