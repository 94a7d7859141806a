//! An etcd that answers garbage, too much, or nothing: the node starts, says so once, and stops.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::node::wait_until;
use crate::support::Folder;

/// What the server does with each connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Accepts, and sends nothing.
    Silent,
    /// Closes at once.
    Closing,
    /// Sends these bytes for each request.
    Answering(&'static str),
    /// Sends a body without end.
    Endless,
}

/// Serves until the test process ends; counts its connections.
fn serve(manner: Manner) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                let mut request = [0; 4_096];
                match manner {
                    Manner::Closing => {}
                    Manner::Silent => std::thread::sleep(Duration::from_secs(60)),
                    Manner::Answering(text) => {
                        while stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
                            if stream.write_all(text.as_bytes()).is_err() {
                                return;
                            }
                        }
                    }
                    Manner::Endless => {
                        let _ = stream.read(&mut request);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"kvs\":[");
                        while stream.write_all(&[b' '; 65_536]).is_ok() {}
                    }
                }
            });
        }
    });
    (address, connections)
}

#[test]
fn a_server_that_is_no_etcd_is_reported_once_and_asked_seldom() {
    let cases = [
        ("silent", Manner::Silent, ""),
        ("closing", Manner::Closing, ""),
        ("no HTTP", Manner::Answering("SSH-2.0-OpenSSH\r\n"), ""),
        (
            "no JSON",
            Manner::Answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            "is no JSON of etcd: \"hello\"",
        ),
        (
            "not found",
            Manner::Answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            "HTTP status 404",
        ),
        (
            "a refusal",
            Manner::Answering("HTTP/1.1 400 Bad\r\nContent-Length: 18\r\n\r\n{\"error\":\"a\\nb c\"}"),
            "it refuses: ",
        ),
        ("endless", Manner::Endless, ""),
    ];
    let running: Vec<_> = cases
        .map(|(what, manner, cause)| {
            let (address, connections) = serve(manner);
            std::thread::spawn(move || {
                let folder = Folder::new();
                let text = format!("discovery = {{ etcd = {{ '{address}' }}, prefix = '/g/' }}");
                let node = folder.start(&text);
                wait_until(what, || folder.lines_with("etcd is lost") == 1);
                assert_eq!(folder.lines_with(cause).min(1), 1, "{what}: {}", folder.log());
                let before = connections.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_secs(3));
                let more = connections.load(Ordering::Relaxed) - before;
                // Pauses of 100, 200, 400, 800 and 1,000 ms, shortened by up to a half, two connections each.
                assert!(more <= 20, "{what}: {more} connections in 3 s");
                assert_eq!(folder.lines_with("etcd is lost"), 1, "{what}");
                node.stop();
            })
        })
        .into_iter()
        .collect();
    for thread in running {
        thread.join().expect("each case holds");
    }
}
