//! SIGTERM and SIGINT stop a node gracefully with exit code 0, also under load; a second signal ends it at once; and a
//! standard output that accepts no data neither ends nor blocks it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Folder, Running, outcome, output, run_command, skyring, wait_for_reply, wait_until};

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the node listens");
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
        let (_folder, mut node, _) = Running::db();
        node.signal(signal);
        assert_eq!(
            node.wait_for_end().code(),
            Some(0),
            "SIG{signal}: {}",
            node.written()
        );
    }
}

#[test]
fn a_node_stops_while_calls_are_in_flight() {
    let (_folder, mut node, address) = Running::db();
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let mut reading = connect(&address);
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
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
    for (writer, reader) in callers {
        assert!(writer.join().expect("the writer ends") > 0);
        reader.join().expect("the reader ends");
    }
}

#[test]
fn a_node_stops_despite_connections_that_are_idle_incomplete_or_not_read() {
    let (_folder, mut node, address) = Running::db();
    let idle = connect(&address);
    let mut half = connect(&address);
    half.write_all(&request(1)[..100]).expect("the node reads");
    // The first part of a message of several parts, without the others.
    let mut parts = connect(&address);
    let mut head = vec![0, 16, 0x81, 5];
    head.extend(b"@echo");
    head.extend(1u32.to_le_bytes());
    head.extend(1_000_000u32.to_le_bytes());
    head[1] = (head.len() - 2) as u8;
    parts.write_all(&head).expect("the node reads");
    // Calls whose replies are not read, until the node reads no more.
    let mut unread = connect(&address);
    unread
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let blocked = (1..1_000_000).find(|session| unread.write_all(&request(*session)).is_err());
    assert!(
        blocked.is_some(),
        "the node reads without bound though its replies are not read"
    );
    node.signal("INT");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
    for mut stream in [idle, half, parts] {
        let mut rest = Vec::new();
        // An end or a reset; it must not stay open.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[test]
fn a_node_stops_while_a_caller_waits_for_its_reply() {
    let (_folder, mut node, address) = Running::db();
    // A paused node does not answer: the call is in flight when the signal arrives and when the stop begins.
    node.signal("STOP");
    let mut call = Running::start(
        skyring(["call", "--timeout", "60", "--addr", &address, "@echo", "hello"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    thread::sleep(Duration::from_millis(100));
    assert!(call.is_running());
    node.signal("TERM");
    node.signal("CONT");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
    // The call was answered just in time, or failed: it does not wait for its timeout.
    assert!(matches!(call.wait_for_end().code(), Some(0 | 1)));
}

#[test]
fn two_signals_at_once_count_as_one() {
    let (_folder, mut node, _) = Running::db();
    // Both signals are pending at once, as from `timeout`, which signals its child and then the group of its child.
    node.signal("STOP");
    node.signal("INT");
    node.signal("TERM");
    node.signal("CONT");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
}

#[test]
fn a_second_signal_ends_a_start_that_hangs() {
    let folder = Folder::new();
    let mut node = Running::start(&mut run_command(&folder.write_hanging_config()));
    let mut signals = 0;
    wait_until("the node ends", || {
        // Before the node handles signals, the first one would end it like any process.
        if signals > 0 || node.handles_signals() {
            node.signal("TERM");
            signals += 1;
        }
        thread::sleep(Duration::from_millis(50));
        !node.is_running()
    });
    let status = node.wait_for_end();
    assert_eq!((status.code(), status.signal()), (Some(128 + 15), None));
    assert!(signals > 1);
}

#[test]
fn a_start_that_hangs_is_ended_after_the_stop_time() {
    let folder = Folder::new();
    let mut command = run_command(&folder.write_hanging_config());
    let mut node = Running::start(command.stderr(Stdio::piped()));
    wait_until("the node handles signals", || node.handles_signals());
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(1));
    assert_eq!(node.read_stderr(), "error: not stopped within 3 s, ended\n");
}

#[test]
fn a_broken_output_pipe_neither_ends_nor_blocks_a_node() {
    let (folder, address) = Folder::with_db("");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = run_command(&folder.path("config_db"));
    let mut node = Running::start(command.stdout(writer).stderr(Stdio::piped()));
    wait_for_reply(&address, &mut node);
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
    let errors = node.read_stderr();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("cannot write the log: Broken pipe"), "{errors}");
}

#[test]
fn a_full_output_pipe_blocks_neither_a_node_nor_its_stop() {
    let (folder, address) = Folder::with_db("");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let written = Arc::new(AtomicUsize::new(0));
    let mut filler = writer.try_clone().expect("a descriptor");
    let counter = Arc::clone(&written);
    // Fills the pipe and then blocks, until the end of the test closes the reading side.
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
    let mut command = run_command(&folder.path("config_db"));
    let mut node = Running::start(command.stdout(writer));
    drop(command);
    wait_for_reply(&address, &mut node);
    let started = Instant::now();
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0));
    // The stop waits half a second for the log. With two such waits it takes two and a half.
    assert!(
        started.elapsed() < Duration::from_millis(2_400),
        "{:?}",
        started.elapsed()
    );
    drop(reader);
}

#[test]
fn the_port_of_a_killed_node_is_free_for_the_next() {
    let (folder, mut first, address) = Running::db();
    let open = connect(&address);
    first.signal("KILL");
    assert_eq!(first.wait_for_end().signal(), Some(9));
    let second = Running::node(&folder.path("config_db"));
    assert_eq!(
        outcome(&output(["call", "--addr", &address, "@echo", "back"])).1,
        "back\n"
    );
    drop(second);
    let _ = open.shutdown(Shutdown::Both);
}
