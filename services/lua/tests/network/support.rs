//! A node in this process that runs services in Lua, and plain sockets that talk to them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Starts a node of three shards with these services; the first is `main`, whose text is the body of
/// `skynet.start`.
pub(crate) fn start(main: &str, services: &[(&str, &str)]) -> Running {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file is written");
    let head =
        "local skynet = require 'skynet'\nrequire 'skynet.manager'\nlocal socket = require 'skynet.socket'\n";
    write(
        "main.lua",
        &format!("{head}skynet.start(function()\n{main}\nskynet.error 'ALL DONE'\nend)"),
    );
    for (name, text) in services {
        write(
            &format!("{name}.lua"),
            &format!("local skynet = require 'skynet'\n{text}"),
        );
    }
    let at = folder.path().display();
    let config = format!("thread = 3\nluaservice = '{at}/?.lua'\nlua_path = '{at}/?.lua'\nstart = 'main'\n");
    write("config", &config);
    let (config, map) = NodeConfig::load_with_map(&folder.path().join("config")).expect("a config");
    let log = folder.path().join("log");
    let bootstrap = config.bootstrap.clone();
    let node = NodeBuilder::from_config(config, map)
        .kinds(skyring_lua::add_kinds(Kinds::default()))
        .first_service(&bootstrap)
        .log_to(Destination::File(log.clone()))
        .start()
        .expect("a node starts on this machine");
    let running = Running {
        node,
        _folder: folder,
        log,
    };
    running.await_log("ALL DONE");
    running
}

impl Running {
    /// What the log holds.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log has a line with this in it, and gives the log.
    #[track_caller]
    pub(crate) fn await_log(&self, part: &str) -> String {
        self.await_log_times(part, 1)
    }

    /// The same for so many lines.
    #[track_caller]
    pub(crate) fn await_log_times(&self, part: &str, count: usize) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.lines().filter(|line| line.contains(part)).count() >= count {
                return log;
            }
            assert!(!log.contains("init service failed"), "{log}");
            assert!(
                started.elapsed() < PATIENCE,
                "{part:?} does not come {count} times in:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The port that a service has logged as `PORT number`.
    pub(crate) fn port(&self) -> u16 {
        let log = self.await_log("PORT ");
        let line = log
            .lines()
            .find_map(|line| line.split_once("PORT "))
            .expect("the line came");
        line.1.trim().parse().expect("a port")
    }

    /// Stops the node, none of whose services may have panicked.
    pub(crate) fn stop_without_panics(self) {
        let (panics, before) = (Arc::new(AtomicUsize::new(0)), std::panic::take_hook());
        let counted = Arc::clone(&panics);
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("shard-"))
            {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
        self.node.stop();
        assert_eq!(panics.load(Ordering::Relaxed), 0, "a shard panicked");
    }

    /// A connection to that port.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time");
        stream
    }
}

/// A package with two bytes of length before it.
pub(crate) fn package(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a package that is not too long");
    [&length.to_be_bytes()[..], body].concat()
}

/// The next package.
pub(crate) fn read_package(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a package comes");
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut body).expect("all of it comes");
    body
}

/// Sends all of it.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("it is taken");
}
