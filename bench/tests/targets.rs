//! Servers of others are measured by the loops that measure nodes, and what is wrong with them is said exactly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use skyring::Node;
use skyring::log::Destination;
use skyring_bench::{LoadModel, LoadResult, Target, TargetError, TargetLoad};

/// Longest wait for a result, and for a server to come up.
const TIME_MAX: Duration = Duration::from_secs(30);

fn target(url: &str, words: &[&str]) -> Target {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    Target::new(url.parse().expect("a URL"), 64, &words).expect("a target")
}

fn load(target: Target, model: LoadModel, connections: usize, in_flight: usize) -> LoadResult {
    let client = Node::builder()
        .threads(2)
        .log_to(Destination::File("/dev/null".into()))
        .start();
    let client = client.expect("a node");
    let load = TargetLoad {
        target,
        connections,
        model,
        in_flight,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(500),
    };
    let mut running = load.start(&client).expect("the load starts");
    let result = running.wait(TIME_MAX).expect("the client runs");
    result.expect("the load ends")
}

/// A server that handles every connection in a thread of its own.
fn serve(handle: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// Answers every request of HTTP, which `answer` makes of its number.
fn serve_http(answer: impl Fn(usize) -> String + Clone + Send + 'static) -> SocketAddr {
    serve(move |mut stream| {
        let (mut received, mut number) = (Vec::new(), 0);
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            received.extend_from_slice(&chunk[..read]);
            while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                received.drain(..end + 4);
                let answer = answer(number);
                number += 1;
                if stream.write_all(answer.as_bytes()).is_err() || answer.contains("close") {
                    return;
                }
            }
        }
    })
}

#[test]
fn a_server_of_http_is_measured_in_both_loops() {
    let address = serve_http(|number| match number % 3 {
        0 => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        1 => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    });
    let mut target = target(&format!("http://{address}/a?b=c"), &[]);
    target.probe().expect("it answers");
    assert_eq!(
        target.size(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".len()
    );
    let closed = load(target.clone(), LoadModel::Closed, 4, 4);
    assert!(closed.calls > 0 && closed.errors.is_empty(), "{closed:?}");
    let open = load(target, LoadModel::Open(200.0), 8, 64);
    assert!(open.errors.is_empty() && open.unanswered == 0, "{open:?}");
    assert!((99..=101).contains(&open.latencies.len()), "{open:?}");
}

#[test]
fn a_server_that_closes_after_an_answer_is_connected_again() {
    let address = serve_http(|number| {
        let connection = if number % 10 == 9 { "close" } else { "keep-alive" };
        format!("HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Length: 2\r\n\r\nab")
    });
    let result = load(target(&format!("http://{address}"), &[]), LoadModel::Closed, 2, 2);
    // With one call on each connection none is lost.
    assert!(result.calls > 20 && result.errors.is_empty(), "{result:?}");
}

#[test]
fn answers_that_report_errors_are_counted_as_such() {
    let address = serve_http(|number| {
        let status = if number % 2 == 0 { "200 OK" } else { "503 Busy" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    });
    let result = load(
        target(&format!("http://{address}/"), &[]),
        LoadModel::Closed,
        1,
        2,
    );
    let errors: Vec<_> = result.errors.keys().copied().collect();
    assert_eq!(errors, ["http-5xx"], "{result:?}");
    assert!(result.calls > 0);
}

#[test]
fn an_echo_is_measured_and_an_answer_of_other_bytes_is_an_error() {
    let echo = serve(|mut stream| {
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            if stream.write_all(&chunk[..read]).is_err() {
                return;
            }
        }
    });
    let mut good = target(&format!("tcp-echo://{echo}"), &[]);
    good.probe().expect("it answers");
    let result = load(good, LoadModel::Closed, 2, 100);
    assert!(result.calls > 100 && result.errors.is_empty(), "{result:?}");

    let wrong = serve(|mut stream| {
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            chunk[..read].fill(b'y');
            if stream.write_all(&chunk[..read]).is_err() {
                return;
            }
        }
    });
    let result = load(
        target(&format!("tcp-echo://{wrong}"), &[]),
        LoadModel::Closed,
        1,
        1,
    );
    assert_eq!(result.calls, 0);
    assert_eq!(result.errors.keys().copied().collect::<Vec<_>>(), ["protocol"]);
}

#[test]
fn a_server_that_goes_away_fails_its_calls_and_they_are_counted() {
    // Nobody listens: the port was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let result = load(
        target(&format!("redis://{address}"), &[]),
        LoadModel::Closed,
        1,
        3,
    );
    assert_eq!(result.calls, 0);
    assert_eq!(result.errors.keys().copied().collect::<Vec<_>>(), ["unreachable"]);
}

#[test]
fn what_is_wrong_with_a_target_is_said_before_it_is_measured() {
    let probe = |url: String| {
        target(&url, &[])
            .probe()
            .expect_err("it is no server of that protocol")
    };
    let unused = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = unused.local_addr().expect("an address");
    drop(unused);
    let error = probe(format!("redis://{nobody}"));
    assert!(matches!(error, TargetError::Unreachable(..)), "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");

    let read_then = |bytes: &'static [u8]| {
        serve(move |mut stream| {
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(bytes);
        })
    };
    let error = probe(format!("redis://{}", read_then(b"")));
    assert!(error.to_string().contains("without an answer"), "{error}");
    let error = probe(format!("redis://{}", read_then(b"$64\r\nhalf")));
    assert!(
        error
            .to_string()
            .contains("in the middle of an answer, after 9 bytes"),
        "{error}"
    );
    let error = probe(format!(
        "redis://{}",
        read_then(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    ));
    let text = error.to_string();
    assert!(
        text.contains("does not speak this protocol") && text.contains("400 Bad Request"),
        "{text}"
    );
    let error = probe(format!("http://{}", read_then(b"-ERR unknown command 'GET'\r\n")));
    assert!(matches!(error, TargetError::Protocol { .. }), "{error}");
    let error = probe(format!(
        "redis://{}",
        read_then(b"-NOAUTH Authentication required.\r\n")
    ));
    assert!(
        error.to_string().contains("-NOAUTH Authentication required."),
        "{error}"
    );
    let missing = read_then(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let error = probe(format!("http://{missing}/nothing"));
    assert!(error.to_string().contains("404 Not Found"), "{error}");
    // It reads and never answers: five seconds.
    let silent = serve(|stream| {
        thread::sleep(TIME_MAX);
        drop(stream);
    });
    let error = probe(format!("tcp-echo://{silent}"));
    assert!(matches!(error, TargetError::Silent { bytes: 0, .. }), "{error}");
}

/// Ends the server with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_redis_is_measured_where_it_is_installed() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = std::env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|file| Path::is_file(file))
    else {
        println!("skipped: redis-server is not installed");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let folder = tempfile::tempdir().expect("a folder");
    let child = Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let _server = Server(child.expect("it starts"));
    let url = format!("redis://127.0.0.1:{port}");
    let started = Instant::now();
    while let Err(error) = target(&url, &[]).probe() {
        assert!(started.elapsed() < TIME_MAX, "{error}");
        thread::sleep(Duration::from_millis(20));
    }
    for words in [
        &[][..],
        &["SET", "key", "value"],
        &["GET", "key"],
        &["LRANGE", "none", "0", "-1"],
    ] {
        for (model, in_flight) in [(LoadModel::Closed, 64), (LoadModel::Open(1_000.0), 64)] {
            let result = load(target(&url, words), model, 4, in_flight);
            assert!(
                result.calls > 0 && result.errors.is_empty(),
                "{words:?}: {result:?}"
            );
        }
    }
    let error = target(&url, &["NOTHING"]).probe().expect_err("no such command");
    assert!(error.to_string().contains("unknown command"), "{error}");
}
