//! A real Skynet node, in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::node::{TIMEOUT, folder};

/// The built checkout of Skynet that the environment names; none is reported.
fn skynet() -> Option<PathBuf> {
    let path = std::env::var_os("SKYRING_TEST_SKYNET").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: SKYRING_TEST_SKYNET does not name a built checkout of Skynet");
    }
    path
}

/// The process; it ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The config of a node whose files are in `folder`.
fn config(skynet: &Path, folder: &Path) -> String {
    let (root, folder) = (skynet.display(), folder.display());
    format!(
        "thread = 2\nharbor = 0\nlogger = '{folder}/log'\nstart = 'main'\nbootstrap = 'snlua bootstrap'\n\
         luaservice = '{root}/service/?.lua;{folder}/?.lua'\nlualoader = '{root}/lualib/loader.lua'\n\
         lua_path = '{root}/lualib/?.lua;{root}/lualib/?/init.lua'\nlua_cpath = '{root}/luaclib/?.so'\n\
         cpath = '{root}/cservice/?.so'\n"
    )
}

/// Runs the body of skynet.start of the first service to its end on a real Skynet node, if there is one, and
/// returns its log.
pub(crate) fn run_to_end(main: &str) -> Option<String> {
    let skynet = skynet()?;
    // A failed assertion ends the program with its text.
    let main = format!(
        "local skynet = require 'skynet'\nskynet.start(function()\nlocal ok, problem = pcall(function()\n{main}\nend)\n\
         skynet.error(ok and 'ALL DONE' or 'FAILED ' .. tostring(problem))\nend)"
    );
    let folder = folder(&[("main.lua", &main)]);
    let file = folder.path().join("config");
    fs::write(&file, config(&skynet, folder.path())).expect("the config is written");
    let started = Instant::now();
    let mut process = Command::new(skynet.join("skynet"));
    process.arg(&file).current_dir(folder.path());
    let _process = Process(process.spawn().expect("Skynet starts"));
    loop {
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        if log.contains("ALL DONE") {
            return Some(log);
        }
        assert!(!log.contains("FAILED"), "{log}");
        assert!(started.elapsed() < TIMEOUT, "the program does not end:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
