//! `/healthz` and `/readyz`.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skyring::{Answer, Context, Error, Kinds, Message, Service, Stop};

use crate::http::{builder, get, status};
use crate::node::wait_until;

/// Blocks its shard while it starts, and then its node while it stops, until it is released.
struct Blocks {
    released: Arc<Mutex<Receiver<()>>>,
}

impl Service for Blocks {
    fn start(&mut self, _context: &Context<Self>) -> Result<(), Error> {
        let _ = self.released.lock().map(|released| released.recv());
        Ok(())
    }

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::none()
    }

    fn stop(&mut self, context: &Context<Self>) -> Stop {
        let (context, released) = (context.clone(), Arc::clone(&self.released));
        Stop::later(async move {
            while released.lock().is_ok_and(|released| released.try_recv().is_err()) {
                context.sleep(Duration::from_millis(5)).await;
            }
        })
    }
}

#[test]
fn a_node_is_ready_from_when_its_services_run_until_it_stops_and_healthy_while_its_shards_take_work() {
    let (builder, address) = builder(2, None);
    let (release, released) = sync_channel(1);
    let released = Arc::new(Mutex::new(released));
    let kinds = Kinds::default().add("blocks", move |_| {
        Ok(Blocks {
            released: Arc::clone(&released),
        })
    });
    let builder = builder
        .kinds(kinds)
        .first_service("blocks")
        .stop_timeout(Duration::from_secs(30));
    let starting = std::thread::spawn(move || builder.start().expect("a node"));
    wait_until("the server runs", || {
        std::net::TcpStream::connect(address).is_ok()
    });
    let readiness = || {
        let answer = get(address, "/readyz");
        (answer.status, answer.body)
    };
    assert_eq!(readiness(), (503, "starting\n".to_owned()));
    wait_until("the shard with the service hangs", || {
        let answer = get(address, "/healthz");
        answer.status == 503 && answer.body.starts_with("shards that take no work: ")
    });
    let hanging = status(address);
    assert_eq!(
        hanging.shards.iter().filter(|shard| shard.is_answering).count(),
        1
    );
    assert!(hanging.shards.iter().any(|shard| shard.inbox_age_us > 900_000));
    let age =
        |status: &skyring::status::NodeStatus| status.shards.iter().map(|shard| shard.inbox_age_us).max();
    wait_until("the age of the inbox grows beyond one question", || {
        age(&status(address)) > Some(3_000_000)
    });
    release.send(()).expect("the service waits");
    let node = starting.join().expect("it starts");
    assert_eq!(readiness(), (200, "ready\n".to_owned()));
    assert_eq!(get(address, "/healthz").body, "ok\n");
    let stopping = std::thread::spawn(move || node.stop());
    wait_until("the node stops", || readiness() == (503, "stopping\n".to_owned()));
    wait_until("the status says so", || status(address).is_stopping);
    release.send(()).expect("the service waits");
    stopping.join().expect("it stops");
    assert!(std::net::TcpStream::connect(address).is_err());
}
