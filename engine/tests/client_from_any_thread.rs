//! A client calls from any thread, blocking or from any async runtime.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Answer, Caller, ClusterMap, Context as ServiceContext, Error, Message, Node, Service};

/// Answers with the request's payload, or, to `wait`, never.
struct Echo;

impl Service for Echo {
    fn handle(&mut self, context: &ServiceContext<Self>, message: Message) -> Answer {
        if matches!(message.unpack::<&str>(), Ok("wait")) {
            let context = context.clone();
            return Answer::later(async move {
                context.sleep(Duration::from_secs(3600)).await;
                Err(Error::remote("the wait was too long"))
            });
        }
        Answer::payload(message.payload)
    }
}

fn start() -> Node {
    let log = Destination::File("/dev/null".into());
    let node = Node::builder().threads(2).log_to(log).start().expect("a node");
    node.block_on(|caller: Caller| async move {
        let echo = caller.launch(|_| Echo).await.expect("launched");
        caller.cluster().register("echo", Some(echo)).expect("registered");
        let address = caller.cluster().open(0, None).await.expect("open");
        let map = ClusterMap::new()
            .with("self", &format!("127.0.0.1:{}", address.port()))
            .expect("a map");
        caller.cluster().reload(map);
    })
    .expect("set up");
    node
}

/// The smallest async runtime: polls on this thread, parks between.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn many_threads_call_the_node_and_a_peer_at_once() {
    let node = start();
    let threads: Vec<_> = (0..8i64)
        .map(|thread| {
            let client = node.client();
            std::thread::spawn(move || {
                let peer = client.node("self");
                for number in 0..500 {
                    let value = thread * 1_000 + number;
                    let here = client
                        .call("@echo", &value)
                        .wait()
                        .and_then(|reply| reply.unpack::<i64>());
                    assert_eq!(here, Ok(value));
                    let there = block_on(peer.call("@echo", &value)).and_then(|reply| reply.unpack::<i64>());
                    assert_eq!(there, Ok(value));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_call_that_cannot_be_made_says_why() {
    let node = start();
    let client = node.client();
    let unknown = client.call("@nobody", &1).wait();
    assert_eq!(
        unknown,
        Err(Error::NoSuchService {
            address: "@nobody".into()
        })
    );
    client.node("self").call("@echo", &1).wait().unwrap();
    let late = client
        .node("self")
        .timeout(Duration::from_millis(50))
        .call("@echo", &"wait")
        .wait();
    assert!(
        matches!(late, Err(Error::Timeout { timeout_ms: 50, .. })),
        "{late:?}"
    );
}

#[test]
fn a_node_that_stops_tells_its_clients() {
    let node = start();
    let client = node.client();
    let waiting = client.call("@echo", &"wait");
    let waiting_there = client.node("self").call("@echo", &"wait");
    node.stop();
    assert!(waiting.wait().is_err());
    assert!(waiting_there.wait().is_err());
    assert!(client.call("@echo", &1).wait().is_err());
}

#[test]
fn a_client_gives_its_calls_a_time_of_their_own_here_and_at_other_nodes() {
    let node = start();
    let patient = node.client();
    let hurried = patient.timeout(Duration::from_millis(20));
    let calls = [
        hurried.call("@echo", "wait"),
        hurried.node("self").call("@echo", "wait"),
        patient
            .node("self")
            .timeout(Duration::from_millis(20))
            .call("@echo", "wait"),
    ];
    for call in calls {
        let error = call.wait().unwrap_err();
        assert_eq!(error.code(), "timeout", "{error}");
        assert!(error.to_string().contains("20 ms"), "{error}");
    }
    let unhurried = hurried.timeout(Duration::ZERO).call("@echo", "hello").wait();
    assert_eq!(
        unhurried.and_then(|reply| reply.unpack::<String>()),
        Ok("hello".to_owned())
    );
}

#[test]
fn a_node_that_starts_or_stops_interrupts_no_read_of_the_thread_that_starts_it() {
    // A read with a time-out is not begun again by the system when something interrupts it.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let time = Duration::from_millis(100);
    socket.set_read_timeout(Some(time)).expect("a time above zero");
    let read = |after: &str| {
        let error = socket.recv(&mut [0]).expect_err("nobody sends");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "after {after}");
    };
    for _ in 0..5 {
        let node = start();
        read("the start");
        node.stop();
        read("the stop");
    }
}
