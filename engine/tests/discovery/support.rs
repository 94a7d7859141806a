//! Nodes that are started from a config in a folder of their own, with their log in a file.

use std::fs;
use std::path::PathBuf;

use skyring::config::NodeConfig;
use skyring::{Answer, Context, Message, Node, NodeBuilder, Service, StartError};

use crate::node::run;
use crate::start::start;

/// A folder with a node's config, its map and its log.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// A node with this config, whose log is `log`.
    pub(crate) fn try_start(&self, config: &str) -> Result<Node, StartError> {
        let log = self.path("log");
        self.write(
            "config",
            &format!("thread = 2 logger = '{}' {config}", log.display()),
        );
        let (config, map) = NodeConfig::load_with_map(&self.path("config")).expect("a valid config");
        NodeBuilder::from_config(config, map).start()
    }

    /// The same, which starts.
    pub(crate) fn start(&self, config: &str) -> Node {
        self.try_start(config).expect("a node starts")
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many lines of the log contain this text.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }
}

/// Answers with its own name.
struct Named(&'static str);

impl Service for Named {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::now(self.0)
    }
}

/// Has `@echo` of a node answer with `name`.
pub(crate) fn serve(node: &Node, name: &'static str) {
    run(node, move |caller| async move {
        let handle = caller.launch(move |_| Named(name)).await.expect("it launches");
        caller
            .cluster()
            .register("echo", Some(handle))
            .expect("the name is free");
    });
}

/// A node whose `@echo` answers with `name`, and its address.
pub(crate) fn server(name: &'static str) -> (Node, String) {
    let node = start(1);
    serve(&node, name);
    let opened = run(
        &node,
        |caller| async move { caller.cluster().open(0, None).await },
    );
    (node, format!("127.0.0.1:{}", opened.expect("a free port").port()))
}
