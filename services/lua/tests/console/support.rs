//! A node with a console, and clients of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::node::{Running, TIMEOUT, folder, start_in};

/// The folder of the example.
pub(crate) fn example() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/examples/console/service"
    ))
}

/// A node with the services of the example, and its console.
pub(crate) struct Console {
    pub(crate) node: Running,
    /// The folder of its services.
    pub(crate) path: String,
    port: u16,
}

impl Console {
    pub(crate) fn start() -> Console {
        Console::start_with("")
    }

    /// A node with further lines in its config.
    pub(crate) fn start_with(lines: &str) -> Console {
        let read = |name: &str| std::fs::read_to_string(example().join(name)).expect("a file of the example");
        let names = ["main.lua", "sdb.lua", "client.lua", "counter.lua"];
        let texts = names.map(read);
        let all: Vec<(&str, &str)> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
        let folder = folder(&all);
        let path = folder.path().display().to_string();
        let snax = format!("snax = '{path}/?.lua'\nconsole_port = 0\n{lines}");
        let node = start_in(folder, &snax);
        node.await_log("LAUNCH snlua client");
        let log = node.await_log("Start debug console at 127.0.0.1:");
        let port = log
            .lines()
            .find_map(|line| line.split_once("Start debug console at 127.0.0.1:"))
            .and_then(|(_, port)| port.trim().parse().ok())
            .expect("the port of the console");
        Console { node, path, port }
    }

    /// A connection that has sent nothing.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the console listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
        stream
    }

    /// A client that has been greeted.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client {
            stream: self.connect(),
            buffer: String::new(),
        };
        client.read_until("Welcome to skynet console\n");
        client
    }
}

/// A client of the console.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: String,
}

impl Client {
    pub(crate) fn send(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .expect("the console reads");
    }

    /// Reads up to and including this text.
    #[track_caller]
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.buffer.find(end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    self.buffer.push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
                // Signals interrupt reads: the host uses one.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => panic!("{end:?} did not arrive ({other:?}) in {:?}", self.buffer),
            }
        }
    }

    /// Runs a command and returns its output, without the last line; `Err` for an error.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &str) -> Result<String, String> {
        self.send(command);
        let mut text = self.read_until("<CMD ");
        text.truncate(text.len() - "<CMD ".len());
        match self.read_until(">\n").as_str() {
            "OK>\n" => Ok(text),
            _ => Err(text),
        }
    }

    /// The output of a command that succeeds.
    #[track_caller]
    pub(crate) fn output(&mut self, command: &str) -> String {
        self.run(command)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The address of a service in the list, as hexadecimal digits.
    #[track_caller]
    pub(crate) fn address(&mut self, service: &str) -> String {
        let list = self.output("list");
        let line = list.lines().find(|line| line.ends_with(service));
        let address = line.and_then(|line| line.strip_prefix(':')?.split('\t').next());
        address
            .unwrap_or_else(|| panic!("{service} is not in {list}"))
            .to_owned()
    }
}
