//! Floors and peers count what was answered, and leave no process behind.
//!
//! Without the usual harness, because this program is also the server of the floors that it measures.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use skyring_bench::Interrupt;
use skyring_bench::floors::{Launcher, Peer, PeerError, PeerResult, Settings, serve};

/// The subcommand under which this program is a server.
const SERVER: &str = "floor-server";

/// The subcommand under which it measures until it is killed.
const MEASURE_FOREVER: &str = "measure-forever";

/// Longest wait of these tests.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Those whose servers are in this program, and answer.
const OURS: [Peer; 3] = [Peer::BlockingEcho, Peer::Glommio, Peer::Uring];

/// The promises, by name.
const PROMISES: [(&str, fn()); 8] = [
    (
        "every_floor_counts_answers_at_any_size",
        every_floor_counts_answers_at_any_size,
    ),
    ("a_stream_counts_its_writes", a_stream_counts_its_writes),
    (
        "missing_programs_are_unavailable_and_others_count_answers",
        missing_programs_are_unavailable,
    ),
    ("services_in_lua_count_answers", services_in_lua_count_answers),
    (
        "libraries_count_answers_when_they_are_built_in",
        libraries_count_answers_when_they_are_built_in,
    ),
    (
        "a_server_that_does_not_come_up_is_an_error",
        a_server_that_does_not_come_up_is_an_error,
    ),
    (
        "no_server_outlives_a_killed_client",
        no_server_outlives_a_killed_client,
    ),
    // Last: from here on this process is interrupted.
    (
        "an_interrupt_ends_a_measurement_and_its_server",
        an_interrupt_ends_a_measurement_and_its_server,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first() {
        Some(first) if first == SERVER => {
            if let Err(error) = serve(&arguments[1..]) {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        }
        Some(first) if first == MEASURE_FOREVER => measure_forever(),
        _ if arguments.iter().any(|argument| argument == "--list") => {
            for (name, _) in PROMISES {
                println!("{name}: test");
            }
        }
        // What test runners pass: one name to choose by, and flags that change nothing here.
        first => {
            let chosen = first
                .and_then(|first| first.to_str())
                .filter(|first| !first.starts_with('-'));
            for (name, promise) in PROMISES {
                if chosen.is_none_or(|chosen| name.contains(chosen)) {
                    promise();
                    println!("test {name} ... ok");
                }
            }
        }
    }
    ExitCode::SUCCESS
}

fn settings(in_flight: usize, size: usize) -> Settings {
    Settings {
        in_flight,
        size,
        duration: Duration::from_millis(200),
        warm_up: Duration::from_millis(50),
        spin: Duration::ZERO,
        server_cpu: 0,
        client_cpu: 1,
        skynet: None,
    }
}

fn launcher() -> Launcher {
    Launcher::this_program(SERVER).expect("a program that runs has a path")
}

fn measure(peer: Peer, settings: &Settings) -> PeerResult {
    let measured = peer.measure(settings, &launcher(), &Interrupt::default());
    let measured = measured.unwrap_or_else(|error| panic!("{} {settings:?}: {error}", peer.name()));
    check(&measured, settings);
    measured
}

fn check(measured: &PeerResult, settings: &Settings) {
    assert!(measured.calls > 0 && measured.errors == 0, "{measured:?}");
    assert!(
        measured.seconds > settings.duration.as_secs_f64() / 2.0,
        "{measured:?}"
    );
    let rate = measured.calls as f64 / measured.seconds;
    assert!(
        (rate / measured.calls_per_second - 1.0).abs() < 0.01,
        "{measured:?}"
    );
    let latency = measured.latency_us;
    assert!(
        0.0 < latency.p50 && latency.p50 <= latency.p99 && latency.p99 <= latency.max,
        "{measured:?}"
    );
}

fn every_floor_counts_answers_at_any_size() {
    for peer in OURS {
        for (in_flight, size) in [(1, 64), (64, 64), (3, 1), (2, 300_000), (1_000, 500)] {
            let measured = measure(peer, &settings(in_flight, size));
            // Plain sockets hold only so much, so their calls in flight are fewer.
            assert!(
                measured.in_flight == in_flight || peer == Peer::BlockingEcho,
                "{measured:?}"
            );
        }
        let spinning = Settings {
            spin: Duration::from_micros(50),
            ..settings(8, 64)
        };
        measure(peer, &spinning);
    }
}

fn services_in_lua_count_answers() {
    measure(Peer::SkyringLua, &settings(8, 64));
}

fn a_stream_counts_its_writes() {
    assert_eq!(measure(Peer::BlockingStream, &settings(1, 1 << 20)).size, 1 << 20);
}

/// Redis and Erlang are measured where they are installed; the settings have no checkout of Skynet.
fn missing_programs_are_unavailable() {
    for peer in [
        Peer::RedisGet,
        Peer::RedisSet,
        Peer::RedisEcho,
        Peer::Erlang,
        Peer::Skynet,
    ] {
        // Counted in commands or hundredths of a second, so that short times are inexact.
        let settings = Settings {
            duration: Duration::from_secs(1),
            ..settings(16, 64)
        };
        match peer.measure(&settings, &launcher(), &Interrupt::default()) {
            Ok(measured) => check(
                &measured,
                &Settings {
                    duration: Duration::ZERO,
                    ..settings
                },
            ),
            Err(PeerError::Unavailable(cause)) => assert!(!cause.is_empty()),
            Err(error) => panic!("{}: {error}", peer.name()),
        }
    }
}

fn libraries_count_answers_when_they_are_built_in() {
    for peer in [Peer::Tarpc, Peer::Tonic] {
        let measured = peer.measure(&settings(16, 1_000), &launcher(), &Interrupt::default());
        match measured {
            Ok(measured) if cfg!(feature = "peers") => check(&measured, &settings(16, 1_000)),
            Err(PeerError::Unavailable(_)) if !cfg!(feature = "peers") => {}
            other => panic!("{}: {other:?}", peer.name()),
        }
    }
}

fn a_server_that_does_not_come_up_is_an_error() {
    // Under that name this program runs no promise and ends.
    let launcher = Launcher::this_program("no-such-promise").expect("a program that runs has a path");
    let measured = Peer::Uring.measure(&settings(1, 64), &launcher, &Interrupt::default());
    assert!(matches!(measured, Err(PeerError::Server(_))), "{measured:?}");
}

/// Measures for longer than any test waits, and prints the process id of its server.
fn measure_forever() {
    let settings = Settings {
        duration: Duration::from_secs(600),
        ..settings(4, 64)
    };
    let began = Instant::now();
    let watching = thread::spawn(move || {
        while began.elapsed() < TIME_MAX {
            if let Some(server) = children(getpid().as_raw_pid()).first() {
                println!("server {server}");
                let _ = std::io::stdout().flush();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let measured = Peer::Uring.measure(&settings, &launcher(), &Interrupt::default());
    let _ = watching.join();
    println!("{measured:?}");
}

/// The processes that all threads of a process have started.
fn children(process: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process that runs");
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn is_alive(process: i32) -> bool {
    // A killed process stays in the table until its parent waits for it.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    Path::new(&format!("/proc/{process}")).exists() && !stat.contains(") Z ")
}

fn ends(process: i32) -> bool {
    let began = Instant::now();
    while is_alive(process) && began.elapsed() < TIME_MAX {
        thread::sleep(Duration::from_millis(5));
    }
    !is_alive(process)
}

fn no_server_outlives_a_killed_client() {
    let mut client = Command::new(std::env::current_exe().expect("a program that runs has a path"))
        .arg(MEASURE_FOREVER)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut line = String::new();
    let read = BufReader::new(client.stdout.take().expect("it was piped")).read_line(&mut line);
    let server = line.trim().strip_prefix("server ").and_then(|id| id.parse().ok());
    client.kill().expect("it runs");
    client.wait().expect("it was killed");
    let server: i32 = server.unwrap_or_else(|| panic!("{read:?} {line}"));
    assert!(ends(server), "the server {server} is still there");
}

fn an_interrupt_ends_a_measurement_and_its_server() {
    let interrupt = Interrupt::catch().expect("signals can be caught");
    let signalling = thread::spawn(|| {
        thread::sleep(Duration::from_millis(500));
        kill_process(getpid(), Signal::TERM).expect("this process is there");
    });
    let settings = Settings {
        duration: Duration::from_secs(600),
        ..settings(4, 64)
    };
    let began = Instant::now();
    for peer in OURS {
        let measured = peer.measure(&settings, &launcher(), &interrupt);
        assert!(
            matches!(measured, Err(PeerError::Interrupted)),
            "{}: {measured:?}",
            peer.name()
        );
    }
    assert!(began.elapsed() < Duration::from_secs(300));
    signalling.join().expect("the signal was sent");
    assert_eq!(children(getpid().as_raw_pid()), [0; 0]);
}
