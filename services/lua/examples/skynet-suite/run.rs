//! Runs one script in a process of its own: on a node of ours, or on Skynet.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Running};
use crate::scripts::Script;

/// The longest time of a script.
const TIME_MAX: Duration = Duration::from_secs(40);

/// The time between two looks at a process.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The output of a script.
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) is_over_time: bool,
}

/// The config for a script, the same for both but for `lines`.
fn config(folder: &Path, script: &Script, lines: &str) -> String {
    let (root, name) = (folder.display(), &script.name);
    format!(
        "thread = 2\nharbor = 0\nbootstrap = 'snlua bootstrap'\nstart = '{name}'\n\
         luaservice = '{root}/service/?.lua;{root}/test/?.lua;{root}/examples/?.lua;{root}/test/?/init.lua'\n\
         lualoader = '{root}/lualib/loader.lua'\n\
         lua_path = '{root}/lualib/?.lua;{root}/lualib/?/init.lua'\n\
         lua_cpath = '{root}/luaclib/?.so'\ncpath = '{root}/cservice/?.so'\n\
         snax = '{root}/examples/?.lua;{root}/test/?.lua'\n{lines}\n"
    )
}

/// Runs the script on a node of ours.
pub(crate) fn on_skyring(
    folder: &Path,
    script: &Script,
    builtin_lualib: bool,
) -> Result<Output, Box<dyn Error>> {
    run(
        process::skyring()?,
        folder,
        script,
        &format!("builtin_lualib = {builtin_lualib}"),
    )
}

/// Runs the script on the checkout's Skynet.
pub(crate) fn on_skynet(folder: &Path, script: &Script) -> Result<Output, Box<dyn Error>> {
    run(process::skynet(folder)?, folder, script, "")
}

fn run(mut command: Command, folder: &Path, script: &Script, lines: &str) -> Result<Output, Box<dyn Error>> {
    let folder = folder.canonicalize()?;
    let scratch = tempfile::tempdir()?;
    let (file, log) = (scratch.path().join("config"), scratch.path().join("output"));
    fs::write(&file, config(&folder, script, lines))?;
    let output = File::create(&log)?;
    command
        .arg(&file)
        .current_dir(&folder)
        // It stays open and silent, as a terminal does.
        .stdin(Stdio::piped())
        .stderr(output.try_clone()?)
        .stdout(output);
    let mut process = Running(command.spawn()?);
    let started = Instant::now();
    let (mut length, mut changed) = (0, started);
    let is_over_time = loop {
        std::thread::sleep(LOOK_INTERVAL);
        if process.0.try_wait()?.is_some() {
            break false;
        }
        let now = Instant::now();
        let length_now = fs::metadata(&log)?.len();
        if length_now != length {
            (length, changed) = (length_now, now);
        } else if now - changed >= script.quiet {
            break false;
        }
        if now - started >= TIME_MAX {
            break true;
        }
    };
    drop(process);
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    Ok(Output { text, is_over_time })
}
