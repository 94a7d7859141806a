//! What it costs to watch a node: calls between two nodes of this process, in turns without anybody who asks and with its
//! metrics and its status fetched ten times a second.
//!
//! ```console
//! $ cargo run --release -p skyring --example admin_cost -- 10
//! ```
//!
//! The number is that of the pairs, of one second each. It prints the ratio of the calls of each pair, and their median.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use skyring::config::Admin;
use skyring::log::Destination;
use skyring::{Answer, ClusterMap, Context, Message, Node, NodeBuilder, Service};

/// Calls in flight.
const IN_FLIGHT: usize = 256;

/// How long each half of a pair takes.
const HALF: Duration = Duration::from_secs(1);

/// Time between two looks at the node while it is watched.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

fn free_address() -> Result<SocketAddr, std::io::Error> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn builder(first_cpu: usize) -> NodeBuilder {
    Node::builder()
        .first_cpu(first_cpu)
        .log_to(Destination::File("/dev/null".into()))
}

/// Gets a page; returns its bytes.
fn get(address: SocketAddr, path: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())
}

fn main() -> Result<(), Box<dyn Error>> {
    let pairs: usize = std::env::args().nth(1).unwrap_or("10".to_owned()).parse()?;
    let (admin, db) = (free_address()?, free_address()?);
    let map = ClusterMap::new().with("db", &db.to_string())?;
    let server = builder(0)
        .map(map.clone())
        .name("db")
        .admin(Admin::new(admin, None)?)
        .start()?;
    server.block_on(|caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.cluster().register("echo", Some(echo))?;
        caller.cluster().open("db", None).await
    })??;
    let client = builder(1).map(map).start()?;
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let _load = client.run(move |caller| async move {
        for _ in 1..IN_FLIGHT {
            let (own, counted) = (caller.clone(), Arc::clone(&counted));
            caller.spawn(async move { call(own, counted).await });
        }
        call(caller, counted).await;
    })?;
    let is_watched = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&is_watched);
    thread::spawn(move || {
        loop {
            if watched.load(Ordering::Relaxed) {
                let _ = get(admin, "/metrics").and_then(|_| get(admin, "/api/status"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    });
    let half = |is_on: bool| {
        is_watched.store(is_on, Ordering::Relaxed);
        let (before, began) = (calls.load(Ordering::Relaxed), Instant::now());
        thread::sleep(HALF);
        (calls.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
    };
    half(false);
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        let (alone, watched) = match pair % 2 {
            0 => (half(false), half(true)),
            _ => {
                let watched = half(true);
                (half(false), watched)
            }
        };
        println!("{alone:9.0} calls/s alone, {watched:9.0} watched");
        ratios.push(watched / alone);
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!(
            "{} bytes of metrics; median of watched / alone: {median:.4}",
            get(admin, "/metrics")?
        );
    }
    // The load never ends by itself.
    std::process::exit(0);
}

/// Makes one call after the other.
async fn call(caller: skyring::Caller, counted: Arc<AtomicU64>) {
    let node = caller.node("db");
    while node.call("@echo", &"sixteen bytes...").await.is_ok() {
        counted.fetch_add(1, Ordering::Relaxed);
    }
}
