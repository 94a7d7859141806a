//! Runs one script in a process of its own: on a node of ours, or on Skynet.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use skyring::config::NodeConfig;
use skyring::{Kinds, NodeBuilder};

use crate::scripts::Script;

/// The flag with which this program runs a node: it is followed by the config.
pub(crate) const NODE: &str = "--node";

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
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(NODE);
    run(
        command,
        folder,
        script,
        &format!("builtin_lualib = {builtin_lualib}"),
    )
}

/// Runs the script on the checkout's Skynet.
pub(crate) fn on_skynet(folder: &Path, script: &Script) -> Result<Output, Box<dyn Error>> {
    let command = Command::new(folder.canonicalize()?.join("skynet"));
    run(command, folder, script, "")
}

/// Kills the process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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

/// Runs a node until the process is killed.
pub(crate) fn node(file: &Path) -> ExitCode {
    let started = NodeConfig::load_with_map(file).map_err(|error| error.to_string());
    let started = started.and_then(|(config, map)| {
        let bootstrap = config.bootstrap.clone();
        NodeBuilder::from_config(config, map)
            .kinds(skyring_lua::add_kinds(Kinds::default()))
            .first_service(&bootstrap)
            .start()
            .map_err(|error| error.to_string())
    });
    match started {
        Ok(_node) => loop {
            std::thread::park();
        },
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
