//! A node in this process that runs services in Lua from a folder, and its log.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use skyring::config::NodeConfig;
use skyring::log::Destination;
use skyring::{Answer, Context, Kinds, Message, Node, NodeBuilder, Service};
use tempfile::TempDir;

/// The longest wait for an expected event, long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The line that a program in Lua logs when all its assertions have held.
const DONE: &str = "ALL DONE";

/// A node, its folder and its log.
pub(crate) struct Running {
    pub(crate) node: Node,
    _folder: TempDir,
    log: PathBuf,
}

/// A service in Rust, of the kind `echo`, that answers with the payload it gets.
struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

/// A folder with these files, whose names may have folders in it.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("the folder")).expect("its folder is made");
        fs::write(path, text).expect("a file is written");
    }
    folder
}

/// Starts a node whose first service is `main.lua` in the folder, which is both `luaservice` and `lua_path`. The
/// config is two shards and these lines.
pub(crate) fn start_in(folder: TempDir, config: &str) -> Running {
    let path = folder.path().display();
    let config = format!(
        "thread = 2\nluaservice = '{path}/?.lua'\nlua_path = '{path}/?.lua'\nstart = 'main'\n{config}\n"
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

/// Runs a program in Lua to its end. `main` is the body of skynet.start of the first service; the other services and
/// modules, by name, have the local `skynet`. Further lines of the config are added as they are.
#[track_caller]
pub(crate) fn run_to_end(main: &str, services: &[(&str, &str)], config: &str) -> Running {
    let main = format!(
        "local skynet = require 'skynet'\nrequire 'skynet.manager'\n\
         skynet.start(function()\n{main}\nskynet.error '{DONE}'\nend)"
    );
    let mut files = vec![("main.lua".to_owned(), main)];
    for (name, text) in services {
        files.push((
            format!("{name}.lua"),
            format!("local skynet = require 'skynet'\n{text}"),
        ));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let running = start_in(folder(&files), config);
    running.await_done();
    running
}

impl Running {
    /// The text of the log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a number of lines of the log contain this text, and returns the log. Fails at once if a service
    /// cannot start, unless its name is `fails`.
    #[track_caller]
    pub(crate) fn await_lines(&self, part: &str, count: usize) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            let has_failed =
                |line: &str| line.contains("init service failed") && !line.contains("/fails.lua:");
            assert!(!log.lines().any(has_failed), "{log}");
            assert!(!log.contains("the first service did not start"), "{log}");
            if log.lines().filter(|line| line.contains(part)).count() >= count {
                return log;
            }
            assert!(
                started.elapsed() < TIMEOUT,
                "{count} lines with {part:?} are not in time in:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a line of the log contains this text, and returns the log.
    #[track_caller]
    pub(crate) fn await_log(&self, part: &str) -> String {
        self.await_lines(part, 1)
    }

    /// Waits until the program in Lua has ended, and returns the log. A failed assertion of the program fails the test.
    #[track_caller]
    pub(crate) fn await_done(&self) -> String {
        self.await_log(DONE)
    }
}
