//! A node in this process that runs services in Lua from a folder, and its log.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use skyring::config::NodeConfig;
use skyring::log::Destination;
use skyring::{Kinds, Node, NodeBuilder};
use tempfile::TempDir;

/// How long a test waits for what must come; a loaded machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node, its folder and its log.
pub(crate) struct Running {
    pub(crate) node: Node,
    _folder: TempDir,
    log: PathBuf,
}

/// A port of this machine that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("folders are made");
        fs::write(path, text).expect("a file is written");
    }
    folder
}

/// Starts a node whose first service is `main.lua`. The files lie in a folder that is both `luaservice` and
/// `lua_path`; `further` lines are added to the config.
pub(crate) fn start(files: &[(&str, &str)], further: &str) -> Running {
    start_in(folder(files), further)
}

/// The same in a folder that is there.
pub(crate) fn start_in(folder: TempDir, further: &str) -> Running {
    let at = folder.path().display();
    let config = format!(
        "thread = 2\nluaservice = '{at}/?.lua'\nlua_path = '{at}/?.lua'\nstart = 'main'\n{further}\n"
    );
    let file = folder.path().join("config");
    fs::write(&file, config).expect("the config is written");
    let (config, map) = NodeConfig::load_with_map(&file).unwrap_or_else(|error| panic!("{error}"));
    let log = folder.path().join("log");
    let bootstrap = config.bootstrap.clone();
    let kinds = skyring_lua::add_kinds(Kinds::default().add("echo", |_| Ok(Echo)));
    let node = NodeBuilder::from_config(config, map)
        .kinds(kinds)
        .first_service(&bootstrap)
        .log_to(Destination::File(log.clone()))
        .start()
        .unwrap_or_else(|error| panic!("{error}"));
    Running {
        node,
        _folder: folder,
        log,
    }
}

impl Running {
    /// What the log holds.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log has a line with this in it, and gives the log.
    #[track_caller]
    pub(crate) fn await_log(&self, part: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.contains(part) {
                return log;
            }
            assert!(started.elapsed() < PATIENCE, "{part:?} does not come in:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the program in Lua says that it is done; whatever it asserts fails the test.
    #[track_caller]
    pub(crate) fn await_done(&self) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            let failed = |line: &str| line.contains("init service failed") && line.contains("/main.lua:");
            assert!(!log.lines().any(failed), "{log}");
            assert!(!log.contains("the first service did not start"), "{log}");
            if log.contains("ALL DONE") {
                return log;
            }
            assert!(started.elapsed() < PATIENCE, "no end in:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A service in Rust: gives back what it gets.
struct Echo;

impl skyring::Service for Echo {
    fn handle(&mut self, _context: &skyring::Context<Self>, message: skyring::Message) -> skyring::Answer {
        skyring::Answer::payload(message.payload)
    }
}

/// Runs one program in Lua to its end. `main` is the body of skynet.start.
#[track_caller]
pub(crate) fn run(main: &str, further: &[(&str, &str)]) -> Running {
    let main = format!(
        "local skynet = require 'skynet'\nrequire 'skynet.manager'\nskynet.start(function()\n{main}\nskynet.error 'ALL DONE'\nend)"
    );
    let mut files = vec![("main.lua", main.as_str())];
    files.extend_from_slice(further);
    let running = start(&files, "");
    running.await_done();
    running
}
