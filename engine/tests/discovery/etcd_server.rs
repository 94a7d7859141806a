//! A real etcd on free ports of loopback, with its data in a folder that vanishes.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::node::wait_until;

/// A server that can be stopped and started again.
pub(crate) struct Etcd {
    folder: tempfile::TempDir,
    client_port: u16,
    peer_port: u16,
    arguments: Vec<String>,
    is_tls: bool,
    child: Option<Child>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Etcd {
    /// Starts a server; `None`, said on the standard error, where there is none.
    pub(crate) fn start() -> Option<Etcd> {
        Etcd::start_with(&[], false)
    }

    /// The same with further arguments.
    pub(crate) fn start_with(arguments: &[&str], is_tls: bool) -> Option<Etcd> {
        let found = Command::new("etcd").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: there is no etcd here");
            return None;
        }
        let mut etcd = Etcd {
            folder: tempfile::tempdir().expect("a folder"),
            client_port: free_port(),
            peer_port: free_port(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            is_tls,
            child: None,
        };
        etcd.start_again();
        Some(etcd)
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start_again(&mut self) {
        let scheme = if self.is_tls { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", self.client_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let log = fs::File::create(self.path().join("log")).expect("a file");
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(self.path().join("data"))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .arg("--initial-cluster")
            .arg(format!("default={peer}"))
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("it starts"));
        let address = self.address();
        wait_until("etcd listens", || TcpStream::connect(&address).is_ok());
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it has ended");
        }
    }

    /// Removes all that it stores; it must not run.
    pub(crate) fn lose_data(&self) {
        fs::remove_dir_all(self.path().join("data")).expect("it has data");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// Posts to its gateway, and returns the answer's body.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}
