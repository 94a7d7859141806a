//! `skyring top`: its printed frame, its screen in a terminal, and what it says where there is no node to show.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::common::{Running, assert_one_line, free_port, outcome, output, skyring, wait_until};
use crate::watched_cluster::Cluster;

const ROWS: u16 = 40;
const COLUMNS: u16 = 140;

fn printed(arguments: &[&str]) -> String {
    let (code, text, error) = outcome(&output([&["top"], arguments, &["--once"]].concat()));
    assert_eq!(code, Some(0), "{error}");
    text
}

/// The line of a frame that begins with a text.
fn line<'a>(frame: &'a str, start: &str) -> &'a str {
    let found = frame.lines().find(|line| line.trim_start().starts_with(start));
    found.unwrap_or_default()
}

#[test]
fn a_printed_frame_has_nodes_channels_services_and_rates() {
    let cluster = Cluster::new("");
    let mut db = cluster.start("db");
    let _gate = cluster.start("gate");
    let address = format!("127.0.0.1:{}", cluster.admin);
    let mut frame = String::new();
    wait_until("calls have a rate and percentiles", || {
        frame = printed(&[&address]);
        let rates = line(&frame, "calls ");
        !rates.contains("calls 0/s")
            && !rates.contains("p50 -")
            && line(&frame, "db_beijing 1").contains(" open ")
    });
    for part in [
        "gate_beijing  ready  Skyring ",
        "zone beijing",
        "nodes: 4, ",
        "channels: ",
        "services: ",
        ", by time",
        "gate clients 0 of 20",
        "shards busy  0: ",
    ] {
        assert!(frame.contains(part), "{part:?} is not in\n{frame}");
    }
    assert!(line(&frame, "db_beijing ").contains(" up "), "{frame}");
    assert!(line(&frame, "old ").contains("disabled"), "{frame}");
    assert!(!line(&frame, "@cache ").is_empty(), "{frame}");
    let by_memory = printed(&[&address, "--sort", "memory"]);
    let services = by_memory
        .lines()
        .skip_while(|line| !line.contains("by memory"))
        .nth(2);
    assert!(services.is_some_and(|first| first.contains("iB")), "{by_memory}");
    db.signal("KILL");
    db.wait_for_end();
    wait_until("the node is shown as down", || {
        let frame = printed(&[&address]);
        frame.contains("1 down") && line(&frame, "db_beijing ").contains(" down ")
    });
}

#[test]
fn a_node_with_a_token_is_shown_to_those_who_have_it() {
    let token = "0123456789abcdef";
    let cluster = Cluster::new(&format!("admin_token = \"{token}\""));
    let _gate = cluster.start("gate");
    let address = format!("127.0.0.1:{}", cluster.admin);
    let top = |file: &str| output(["top", &address, "--once", "--token-file", file]);
    assert_one_line(&output(["top", &address, "--once"]), 1, "give --token-file FILE");
    let file = |name: &str, text: &str| cluster.folder.write(name, text).display().to_string();
    assert_one_line(
        &top(&file("wrong", "fedcba9876543210\n")),
        1,
        "does not take this token",
    );
    assert_one_line(&top(&file("empty", "\n")), 2, "there is no token in it");
    assert_one_line(&top(&file("binary", "\u{1}\u{2}")), 2, "there is no token in it");
    assert_one_line(&top("/nonexistent"), 2, "No such file");
    let (code, text, error) = outcome(&top(&file("right", "0123456789abcdef\n")));
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("gate_beijing") && !text.contains(token), "{text}");
}

/// A server that reads a request and answers it with these bytes; it ends with the test.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn where_no_node_can_be_shown_one_line_says_why() {
    let once = |address: &str| output(["top", address, "--once"]);
    for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ""] {
        let (code, _, error) = outcome(&once(wrong));
        assert_eq!(code, Some(2), "{wrong}: {error}");
        assert!(error.contains("HOST:PORT"), "{wrong}: {error}");
    }
    let closed = format!("127.0.0.1:{}", free_port());
    assert_one_line(&once(&closed), 1, "does the node run, with admin = ");
    assert_one_line(&once("no-such-host.invalid:8100"), 1, "failed to lookup address");
    for answer in [
        &b"+OK hello\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ] {
        assert_one_line(&once(&server(answer)), 1, "is no admin server of Skyring");
    }
    let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 8\r\n\r\n\x1b[2Jwhy\n";
    assert_one_line(&once(&server(refused)), 1, "the node refuses: \\u{1b}[2Jwhy");
    // The port for other nodes, which waits for more.
    let cluster = Cluster::new("");
    let _gate = cluster.start("gate");
    wait_until(
        "the port for other nodes listens, and says nothing of use",
        || {
            let error = outcome(&once(&format!("127.0.0.1:{}", cluster.gate))).2;
            let listens = !error.contains("refused");
            assert!(
                !listens || error.contains("no admin server of Skyring"),
                "{error}"
            );
            listens
        },
    );
    // Without a terminal there is no screen.
    let admin = format!("127.0.0.1:{}", cluster.admin);
    assert_one_line(&output(["top", &admin]), 2, "--once");
}

/// A terminal with `skyring top` in it.
struct Terminal {
    top: Running,
    keys: OwnedFd,
    /// The other end, which the command has: its modes are seen here.
    end: OwnedFd,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(address: &str) -> Terminal {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keys).expect("it is ours");
        unlockpt(&keys).expect("it is ours");
        let name = ptsname(&keys, Vec::new()).expect("it has a name");
        let end = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens");
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&end, size).expect("a terminal has a size");
        let parser = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let stdio = || Stdio::from(end.try_clone().expect("a descriptor"));
        let mut command = skyring(["top", address]);
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let top = Running::start(&mut command);
        let shown = Arc::clone(&parser);
        let reader = keys.try_clone().expect("a descriptor");
        // Ends when nobody has the other end any more.
        thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(count @ 1..) = rustix::io::read(&reader, &mut bytes) {
                shown
                    .lock()
                    .expect("no thread panicked with it")
                    .process(&bytes[..count]);
            }
        });
        Terminal {
            top,
            keys,
            end,
            parser,
        }
    }

    fn press(&self, keys: &[u8]) {
        let mut rest = keys;
        while !rest.is_empty() {
            let written = rustix::io::write(&self.keys, rest).expect("the terminal takes it");
            rest = &rest[written..];
        }
    }

    fn screen(&self) -> String {
        let parser = self.parser.lock().expect("no thread panicked with it");
        parser.screen().contents()
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.end).expect("a terminal has modes");
        !modes.local_modes.contains(LocalModes::ICANON)
    }

    fn is_alternate(&self) -> bool {
        let parser = self.parser.lock().expect("no thread panicked with it");
        parser.screen().alternate_screen()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let mut seen = String::new();
        wait_until(&format!("{text:?} is on the screen"), || {
            seen = self.screen();
            seen.contains(text)
        });
    }

    #[track_caller]
    fn assert_ends_restored(&mut self, what: &str) {
        let status = self.top.wait_for_end();
        assert_eq!(status.code(), Some(0), "{what}: {}", self.screen());
        wait_until("the terminal is as it was", || {
            !self.is_raw() && !self.is_alternate()
        });
    }
}

#[test]
fn the_screen_follows_the_node_obeys_keys_and_restores_the_terminal() {
    let cluster = Cluster::new("");
    let mut db = cluster.start("db");
    let mut gate = cluster.start("gate");
    let address = format!("127.0.0.1:{}", cluster.admin);
    let mut terminal = Terminal::start(&address);
    terminal.wait_for("gate_beijing  ready");
    assert!(terminal.is_raw() && terminal.is_alternate());
    terminal.wait_for("by time");
    wait_until("calls have a rate", || {
        let screen = terminal.screen();
        let rates = line(&screen, "calls ");
        !rates.is_empty() && !rates.contains("calls -/s") && !rates.contains("calls 0/s")
    });
    for (key, order) in [
        (b"m", "by memory"),
        (b"n", "by name"),
        (b"s", "by time"),
        (b"r", "by messages"),
    ] {
        terminal.press(key);
        terminal.wait_for(order);
    }
    // The panels, beyond their ends, and keys that mean nothing.
    terminal.press(b"\t\x1b[B\x1b[B\x1b[A\x1b[6~\x1b[F\t\x1b[F\x1b[H\x1b[Zxyz\x1b[20~");
    db.signal("KILL");
    db.wait_for_end();
    terminal.wait_for("1 down");
    gate.signal("KILL");
    gate.wait_for_end();
    terminal.wait_for("gate_beijing  no answer");
    let _gate = cluster.start("gate");
    terminal.wait_for("gate_beijing  ready");
    terminal.press(b"q");
    terminal.assert_ends_restored("q");

    for (what, end) in [
        ("Ctrl-C", None),
        ("SIGTERM", Some("TERM")),
        ("SIGHUP", Some("HUP")),
    ] {
        let mut terminal = Terminal::start(&address);
        terminal.wait_for("gate_beijing  ready");
        match end {
            None => terminal.press(b"\x03"),
            Some(signal) => terminal.top.signal(signal),
        }
        terminal.assert_ends_restored(what);
    }
}
