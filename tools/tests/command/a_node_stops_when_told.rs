//! SIGTERM and SIGINT end a node in order with exit code 0, whatever it is doing; a second signal ends it at
//! once; and a standard output that takes nothing neither ends nor holds it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Folder, Running, free_port, output, skyring, told, wait_until};

fn node() -> (Folder, Running, u16) {
    let folder = Folder::new();
    let port = free_port();
    folder.write_nodes(&[("db", port)], "");
    let node = Running::node(&folder.path("config_db"));
    (folder, node, port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the node listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream
}

/// A request to `@echo` in Skynet's format: length, type, name, session, and a packed text of 300 bytes.
fn request(session: u32) -> Vec<u8> {
    let mut body = vec![0x80, 5];
    body.extend(b"@echo");
    body.extend(session.to_le_bytes());
    // A long string: type 5 with a length of two bytes.
    body.extend([5 | 2 << 3, 44, 1]);
    body.extend([b'x'; 300]);
    let mut package = (body.len() as u16).to_be_bytes().to_vec();
    package.extend(body);
    package
}

#[test]
fn either_signal_ends_an_idle_node() {
    for signal in ["TERM", "INT"] {
        let (_folder, mut node, _) = node();
        node.signal(signal);
        assert_eq!(node.ended().code(), Some(0), "SIG{signal}: {}", node.written());
    }
}

#[test]
fn a_node_stops_while_calls_are_under_way() {
    let (_folder, mut node, port) = node();
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let mut reading = connect(port);
            let mut writing = reading.try_clone().expect("a descriptor");
            let answered = Arc::clone(&answered);
            // Both end when the node closes the connection.
            let writer = thread::spawn(move || {
                (1..)
                    .take_while(|session| writing.write_all(&request(*session)).is_ok())
                    .count()
            });
            let reader = thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok(count @ 1..) = reading.read(&mut buffer) {
                    answered.fetch_add(count, Ordering::Relaxed);
                }
            });
            (writer, reader)
        })
        .collect();
    wait_until("calls are answered", || {
        answered.load(Ordering::Relaxed) > 1_000_000
    });
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.written());
    for (writer, reader) in callers {
        assert!(writer.join().expect("the writer ends") > 0);
        reader.join().expect("the reader ends");
    }
}

#[test]
fn a_node_stops_while_connections_are_open_that_say_nothing_half_of_it_or_take_nothing() {
    let (_folder, mut node, port) = node();
    let silent = connect(port);
    let mut half = connect(port);
    half.write_all(&request(1)[..100]).expect("the node reads");
    // The head of a message of many parts, of which the rest never comes.
    let mut parts = connect(port);
    let mut head = vec![0, 16, 0x81, 5];
    head.extend(b"@echo");
    head.extend(1u32.to_le_bytes());
    head.extend(1_000_000u32.to_le_bytes());
    head[1] = (head.len() - 2) as u8;
    parts.write_all(&head).expect("the node reads");
    // Calls without reading an answer, until nothing more is taken.
    let mut deaf = connect(port);
    deaf.set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let stuck = (1..1_000_000).find(|session| deaf.write_all(&request(*session)).is_err());
    assert!(
        stuck.is_some(),
        "the node read without end from who takes no answers"
    );
    node.signal("INT");
    assert_eq!(node.ended().code(), Some(0), "{}", node.written());
    for mut stream in [silent, half, parts] {
        let mut rest = Vec::new();
        // The end or a reset; what must not be is that it stays open.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, []);
    }
}

#[test]
fn a_node_stops_while_others_wait_for_its_answer() {
    let (_folder, mut node, port) = node();
    // Paused, it does not answer: the call is under way when the signal comes, and when the stop begins.
    node.signal("STOP");
    let address = format!("127.0.0.1:{port}");
    let mut call = Running::start(
        skyring(["call", "--timeout", "60", "--addr", &address, "@echo", "hello"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    thread::sleep(Duration::from_millis(100));
    assert!(call.is_running());
    node.signal("TERM");
    node.signal("CONT");
    assert_eq!(node.ended().code(), Some(0), "{}", node.written());
    // It was answered just in time, or told that it was not: it does not wait for its timeout.
    assert!(matches!(call.ended().code(), Some(0 | 1)));
}

#[test]
fn the_same_signal_twice_at_once_is_one() {
    let (_folder, mut node, _) = node();
    // Both wait for it, as from `timeout`, which signals its child and then its child's group.
    node.signal("STOP");
    node.signal("INT");
    node.signal("TERM");
    node.signal("CONT");
    assert_eq!(node.ended().code(), Some(0), "{}", node.written());
}

#[test]
fn a_second_signal_ends_at_once_what_hangs() {
    let folder = Folder::new();
    // Opening a pipe that nobody reads waits for ever, and so the start never comes to its end.
    let pipe = folder.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo starts").success());
    let config = folder.write("config", format!("logger = '{}'", pipe.display()));
    let mut node = Running::start(&mut skyring(["run".as_ref(), config.as_os_str()]));
    let mut signals = 0;
    wait_until("the node ends", || {
        // The first ones may come before it listens to them, and end it otherwise.
        if signals > 0 || node.watches_signals() {
            node.signal("TERM");
            signals += 1;
        }
        thread::sleep(Duration::from_millis(50));
        !node.is_running()
    });
    let status = node.ended();
    assert_eq!((status.code(), status.signal()), (Some(128 + 15), None));
    assert!(signals > 1);
}

#[test]
fn what_hangs_is_ended_after_a_while_even_without_a_second_signal() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo starts").success());
    let config = folder.write("config", format!("logger = '{}'", pipe.display()));
    let mut command = skyring(["run".as_ref(), config.as_os_str()]);
    let mut node = Running::start(command.stderr(Stdio::piped()));
    wait_until("it listens to signals", || node.watches_signals());
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(1));
    assert_eq!(node.errors(), "error: not stopped within 3 s, ended\n");
}

#[test]
fn a_broken_output_pipe_neither_ends_nor_holds_a_node() {
    let folder = Folder::new();
    let port = free_port();
    folder.write_nodes(&[("db", port)], "");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let config = folder.path("config_db");
    let mut command = skyring(["run".as_ref(), config.as_os_str()]);
    let mut node = Running::start(command.stdout(writer).stderr(Stdio::piped()));
    answers(port, &mut node);
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0));
    let errors = node.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("cannot write the log: Broken pipe"), "{errors}");
}

#[test]
fn a_full_output_pipe_neither_holds_a_node_nor_its_stop() {
    let folder = Folder::new();
    let port = free_port();
    folder.write_nodes(&[("db", port)], "");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let written = Arc::new(AtomicUsize::new(0));
    let mut filler = writer.try_clone().expect("a descriptor");
    let counter = Arc::clone(&written);
    // Fills the pipe and then waits in it, until the end of the test closes the reading side.
    thread::spawn(move || {
        while filler.write(&[b'x'; 1024]).is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut before = 0;
    wait_until("the pipe is full", || {
        thread::sleep(Duration::from_millis(100));
        let now = written.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now && now > 0
    });
    let config = folder.path("config_db");
    let mut command = skyring(["run".as_ref(), config.as_os_str()]);
    let mut node = Running::start(command.stdout(writer));
    drop(command);
    answers(port, &mut node);
    let started = Instant::now();
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0));
    // It takes half a second for the log. Waiting for it twice took two and a half.
    assert!(
        started.elapsed() < Duration::from_millis(2_400),
        "{:?}",
        started.elapsed()
    );
    drop(reader);
}

/// Waits until the node answers a call.
#[track_caller]
fn answers(port: u16, node: &mut Running) {
    let address = format!("127.0.0.1:{port}");
    wait_until("the node answers", || {
        assert!(node.is_running(), "the node has ended");
        told(&output(["call", "--addr", &address, "@sdb", "PING"])).0 == Some(0)
    });
}

#[test]
fn a_node_that_was_killed_leaves_its_port_to_the_next() {
    let (folder, mut first, port) = node();
    let open = connect(port);
    first.signal("KILL");
    assert_eq!(first.ended().signal(), Some(9));
    let second = Running::node(&folder.path("config_db"));
    let address = format!("127.0.0.1:{port}");
    assert_eq!(
        told(&output(["call", "--addr", &address, "@echo", "back"])).1,
        "back\n"
    );
    drop(second);
    let _ = open.shutdown(Shutdown::Both);
}
