//! The native console answers its commands over plain connections and HTTP, and bad input harms nothing.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{Backoff, Child, Node, Strategy, Supervisor};
use skyring_services::{CONSOLE_CLIENTS_MAX, kinds};

/// The longest wait for an expected event.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A node with a simpledb, named `.db`, and a console.
struct Console {
    node: Node,
    log: PathBuf,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Console {
    fn start() -> Console {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let node = Node::builder()
            .threads(2)
            .kinds(kinds())
            .log_to(Destination::File(log.clone()))
            .start()
            .expect("a node starts");
        let started = node.block_on(|caller| async move {
            let db = caller.launch_kind("simpledb", "").await?;
            caller.name_service("db", db)?;
            caller.launch_kind("debug_console", "127.0.0.1 0").await
        });
        started.expect("it runs").expect("both start");
        let mut console = Console {
            node,
            log,
            port: 0,
            _folder: folder,
        };
        let line = console.await_log("Start debug console at 127.0.0.1:");
        console.port = line
            .rsplit(':')
            .next()
            .and_then(|port| port.trim().parse().ok())
            .expect("a port");
        console
    }

    /// The first line of the log with this text.
    fn await_log(&self, part: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(line) = log.lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            assert!(begun.elapsed() < TIMEOUT, "{part:?} is not in {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
        stream
    }

    fn client(&self) -> Client {
        let mut client = Client(BufReader::new(self.connect()));
        assert_eq!(client.line(), "Welcome to skynet console\n");
        client
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the console has closed the connection");
        line
    }

    /// The output of a command; `Err` for an error.
    fn run(&mut self, command: &str) -> Result<String, String> {
        let line = format!("{command}\n");
        self.0
            .get_mut()
            .write_all(line.as_bytes())
            .expect("the console reads");
        let mut output = String::new();
        loop {
            match self.line().as_str() {
                "<CMD OK>\n" => return Ok(output),
                "<CMD Error>\n" => return Err(output),
                line => output.push_str(line),
            }
        }
    }

    fn output(&mut self, command: &str) -> String {
        self.run(command)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

#[test]
fn restarts_and_their_causes_are_listed() {
    let console = Console::start();
    let mut client = console.client();
    let supervised = console.node.block_on(|caller| async move {
        let now = Backoff::new(Duration::ZERO, Duration::ZERO);
        let child = Child::kind("second", "simpledb", "").name(".second").backoff(now);
        let supervisor = Supervisor::new("game", Strategy::RestForOne).child(child);
        caller.supervise(supervisor).await
    });
    let supervisor = supervised.expect("it runs").expect("it starts");
    let list = client.output("supervisor");
    assert!(
        list.starts_with(&format!("{supervisor}\tsupervisor game\trest-for-one\nsecond\t:"))
            && list.ends_with("\trunning\trestarts:0\n"),
        "{list:?}"
    );
    client.output("kill .second");
    let begun = Instant::now();
    while !client
        .output("supervisor")
        .ends_with("\trunning\trestarts:1\tkilled\n")
    {
        assert!(begun.elapsed() < TIMEOUT, "{}", client.output("supervisor"));
    }
    let list = client.output("list");
    assert!(
        list.contains("\tsimpledb\t.second\trestarts:1\tkilled\n"),
        "{list}"
    );
    console.await_log("(second) has ended and is started again in 0 ms, for the 1. time: killed");
}

#[test]
fn services_are_listed_called_started_and_ended() {
    let console = Console::start();
    let mut client = console.client();
    let list = client.output("list");
    assert!(
        list.contains("\tsimpledb\t.db\n") && list.contains("\tdebug_console 127.0.0.1 0\n"),
        "{list}"
    );
    assert!(client.output("help").contains("list\tList all the services\n"));
    assert!(client.output("stat").contains("\tmqlen:0\tshard:"));
    assert!(client.output("mem").starts_with("resident\t"));
    assert!(client.output("netstat").contains("type:LISTEN"));
    assert_eq!(client.output("call .db \"SET\", \"a\", 5"), "1\tnil\nn\t1\n");
    assert_eq!(client.output("call .db \"GET\", \"a\""), "1\t5\nn\t1\n");
    assert!(client.output("ping .db").trim().parse::<u32>().is_ok());
    let started = client.output("start simpledb");
    let (address, kind) = started.trim().split_once('\t').expect("an address and a kind");
    assert_eq!(kind, "simpledb");
    assert_eq!(
        client.output(&format!("kill {address}")),
        format!("{address}\tsimpledb\n")
    );
    while client.output("list").contains(address) {}
    assert!(
        client
            .run(&format!("ping {address}"))
            .expect_err("ended")
            .contains("no-such-service")
    );
    assert!(client.output("getenv nothing").ends_with("\tnil\n"));
}

#[test]
fn a_wrong_command_or_argument_is_an_error_line_and_the_console_goes_on() {
    let console = Console::start();
    let mut client = console.client();
    for (command, part) in [
        ("bogus", "Invalid command"),
        ("ping", "Need an address"),
        ("ping zz", "Need an address"),
        ("ping 0", "Need an address"),
        ("ping .nobody", "Not a valid name"),
        ("ping ffff", "no-such-service"),
        ("kill", "Need an address"),
        ("kill ffff", "there is no service :0000ffff"),
        ("exit ffff", "there is no service"),
        ("call", "Need an address"),
        ("call .db", "need arguments"),
        ("call .db x", "is not a value"),
        ("call .db \"nothing\"", "unknown"),
        ("start", "Need the kind"),
        ("start nobody", "there is no service kind"),
        ("getenv", "Need a name"),
        ("inject 8 x", "inject needs Lua"),
        ("debug 8", "debug needs Lua"),
        ("setenv a b", "setenv needs Lua"),
        ("dumpheap", "needs jemalloc"),
        ("\u{1b}[A\0", "Invalid command"),
    ] {
        let error = client.run(command).expect_err(command);
        assert!(error.contains(part), "{command}: {error}");
    }
    assert!(client.output("list").contains(".db"));
}

#[test]
fn a_command_runs_over_http() {
    let console = Console::start();
    let request = |text: &str| {
        let mut stream = console.connect();
        stream.write_all(text.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = request("GET /call/.db/%22PING%22 HTTP/1.1\r\nHost: node\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("<CMD OK>\n"),
        "{answer}"
    );
    let answer = request("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nlist");
    assert!(answer.contains("\tsimpledb\t.db\n"), "{answer}");
    assert!(request("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(request("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").starts_with("HTTP/1.1 413 "));
}

#[test]
fn clients_that_misbehave_end_alone() {
    let console = Console::start();
    let mut endless = console.connect();
    while endless.write_all(&[b'x'; 65_536]).is_ok() {}
    let mut deaf = console.connect();
    for _ in 0..10_000 {
        if deaf.write_all(b"help\nlist\n").is_err() {
            break;
        }
    }
    // Lines without an end, and an end in the middle of a request.
    console.connect().write_all(b"list").expect("sent");
    console
        .connect()
        .write_all(b"GET /list HTTP/1.1\r\n")
        .expect("sent");
    assert!(console.client().output("list").contains(".db"));
}

#[test]
fn more_clients_than_the_bound_are_turned_away() {
    let console = Console::start();
    let held: Vec<Client> = (0..CONSOLE_CLIENTS_MAX).map(|_| console.client()).collect();
    let mut more = console.connect();
    let mut bytes = Vec::new();
    let read = more.read_to_end(&mut bytes);
    assert!(
        read.as_ref()
            .err()
            .is_none_or(|error| error.kind() == ErrorKind::ConnectionReset),
        "{read:?}"
    );
    assert!(bytes.is_empty());
    console.await_log("is turned away");
    drop(held);
    let begun = Instant::now();
    // The console learns of the ends one after the other.
    loop {
        let mut first = String::new();
        let mut reader = BufReader::new(console.connect());
        if reader.read_line(&mut first).is_ok() && !first.is_empty() {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT);
    }
}
