//! A server of a database as a process of its own, on a free port, that can be killed and started again.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest wait for a server to accept connections.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// Ports that are tried: another process may take one between its choice and its use.
const TRIES: usize = 5;

/// A database that the tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Redis,
    MariaDb,
    MongoDb,
}

impl Database {
    fn program(self) -> &'static str {
        match self {
            Database::Redis => "redis-server",
            Database::MariaDb => "mariadbd",
            Database::MongoDb => "mongod",
        }
    }
}

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    database: Database,
    folder: TempDir,
    pub(crate) port: u16,
    process: Child,
}

/// The first line that a program prints, if there is such a program.
fn first_line(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next().unwrap_or(program).to_owned())
}

impl Server {
    /// Starts a server with an empty database; none if it is not installed, which is reported.
    pub(crate) fn start(database: Database) -> Option<Server> {
        let program = database.program();
        let Some(version) = first_line(program, "--version") else {
            eprintln!("skipped: there is no {program} here");
            return None;
        };
        eprintln!("with {version}");
        let folder = tempfile::tempdir().expect("a folder for the server");
        if database == Database::MariaDb {
            create_mariadb(&folder);
        }
        for _ in 0..TRIES {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.expect("a free port").port();
            let mut process = spawn(database, &folder, port);
            if is_ready(&mut process, port) {
                return Some(Server {
                    database,
                    folder,
                    port,
                    process,
                });
            }
        }
        panic!("{program} does not start: see {:?}", folder.keep());
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts a killed server again, on the same port.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.database, &self.folder, self.port);
        assert!(
            is_ready(&mut self.process, self.port),
            "the server does not start again"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn create_mariadb(folder: &TempDir) {
    let path = folder.path();
    let output = Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ])
        .arg(format!("--datadir={}", path.join("data").display()))
        .arg(format!("--user={}", user()))
        .output()
        .expect("mariadb-install-db is installed with the server");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text =
        "CREATE DATABASE IF NOT EXISTS skyring;\nSET PASSWORD FOR root@localhost = PASSWORD('secret');\n";
    std::fs::write(path.join("init.sql"), text).expect("a file is written");
}

/// The user of this process, whom the server needs by name.
fn user() -> String {
    first_line("id", "-un").expect("there is `id`")
}

fn spawn(database: Database, folder: &TempDir, port: u16) -> Child {
    let path = folder.path();
    let mut command = Command::new(database.program());
    let file = |name: &str| path.join(name).display().to_string();
    match database {
        Database::Redis => command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--dir",
            &file(""),
        ]),
        Database::MariaDb => command
            .arg("--no-defaults")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--port={port}"))
            .arg(format!("--user={}", user()))
            .arg(format!("--datadir={}", file("data")))
            .arg(format!("--socket={}", file("socket")))
            .arg(format!("--init-file={}", file("init.sql"))),
        Database::MongoDb => {
            let data = path.join("data");
            std::fs::create_dir_all(&data).expect("a folder for the data");
            command.args([
                "--bind_ip",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--dbpath",
                &file("data"),
            ])
        }
    };
    if database == Database::Redis {
        // Each write is on disk before it is answered, so a crash loses none.
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    }
    let log = File::options().create(true).append(true).open(path.join("log"));
    let log = log.expect("a log of the server");
    command
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a descriptor"))
        .stdout(log);
    command.spawn().expect("the server starts")
}

/// Waits until the server accepts connections. `false`: it has ended.
fn is_ready(process: &mut Child, port: u16) -> bool {
    let started = Instant::now();
    while started.elapsed() < START_TIME_MAX {
        if process.try_wait().expect("it can be asked").is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server does not accept connections in {START_TIME_MAX:?}");
}
