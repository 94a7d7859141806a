//! The document of `/api/status`.

use std::time::Duration;

use skyring::{Answer, ClusterMap, Context, Message, Report, Service};

use crate::http::{builder, free_address, quiet, status};
use crate::node::{run, wait_until};

/// Answers, and tells of itself.
struct Echo {
    answers: u64,
}

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        self.answers += 1;
        match message.unpack::<&str>() {
            Ok("fail") => Answer::error(skyring::Error::remote("as asked")),
            _ => Answer::payload(message.payload),
        }
    }

    fn report(&self, report: &mut Report) {
        report.memory(4_096);
        report.counter("echo_answers", "Messages that were answered.", self.answers);
        report.gauge("echo_instances", "Services that run.", 1);
    }
}

#[test]
fn a_status_shows_shards_services_peers_and_channels() {
    let [address_db, address_gate] = [free_address(), free_address()].map(|address| address.to_string());
    let map = ClusterMap::new()
        .with("db", &address_db)
        .and_then(|map| map.with("gate", &address_gate))
        .expect("addresses")
        .disable("old");
    let db = quiet(1).map(map.clone()).name("db").start().expect("a node");
    run(&db, |caller| async move {
        let echo = caller.launch(|_| Echo { answers: 0 }).await?;
        caller.cluster().register("echo", Some(echo))?;
        caller.cluster().open("db", None).await
    })
    .expect("it listens");
    let (builder, admin) = builder(2, None);
    let gate = builder.map(map).name("gate").start().expect("a node");
    run(&gate, |caller| async move {
        for _ in 0..20 {
            let echo = caller.launch(|_| Echo { answers: 0 }).await?;
            caller.call(echo, &"here").await?;
            caller.send(echo, &"here too")?;
        }
        for _ in 0..100 {
            caller.node("db").call("@echo", &"there").await?;
        }
        let failed = caller.node("db").call("@echo", &"fail").await;
        assert_eq!(failed.expect_err("as asked").code(), "remote");
        caller.cluster().open("gate", None).await
    })
    .expect("calls and a listener");

    let first = status(admin);
    assert_eq!((first.node.as_str(), first.shards.len()), ("gate", 2));
    assert!(first.is_ready && !first.is_stopping && first.failure.is_none());
    assert!(
        first
            .shards
            .iter()
            .all(|shard| shard.is_answering && shard.turns > 0)
    );
    assert!(first.process.memory_bytes > 0 && first.process.id == std::process::id());
    assert_eq!(first.listeners.len(), 1);

    let peers: Vec<_> = first
        .peers
        .iter()
        .map(|peer| (peer.node.as_str(), peer.state.as_str()))
        .collect();
    assert_eq!(peers, [("db", "up"), ("gate", "up"), ("old", "disabled")]);
    assert!(first.peers[1].is_own);

    let [channel] = &first.channels[..] else {
        panic!("one channel, not {:?}", first.channels);
    };
    assert_eq!(
        (
            channel.node.as_str(),
            channel.channel,
            channel.state.as_str(),
            channel.dialect.as_str()
        ),
        ("db", 1, "open", "native")
    );
    assert_eq!((channel.calls, channel.connects, channel.in_flight), (101, 1, 0));
    assert_eq!(channel.errors.get("remote"), Some(&1));
    assert!(channel.bytes_read > 1_000 && channel.bytes_written > 1_000 && channel.writes > 0);
    let round_trips = &channel.round_trip;
    assert!(
        round_trips.count() > 0 && round_trips.count() <= 101,
        "{round_trips:?}"
    );
    assert!(round_trips.percentile_us(0.5).is_some_and(|time| time > 1.0));

    let sum = |label: &str| first.service_sums.iter().find(|sum| sum.label == label).cloned();
    let echo = sum("Echo").expect("the services without a name by their type");
    assert_eq!(
        (echo.services, echo.messages, echo.memory_bytes),
        (20, 40, 20 * 4_096)
    );
    assert!(echo.handler.count() > 0 && echo.handler.count() <= echo.steps);
    let measure = |name: &str| {
        first
            .measures
            .iter()
            .find(|measure| measure.name == name)
            .map(|found| found.value)
    };
    assert_eq!(
        (measure("echo_answers"), measure("echo_instances")),
        (Some(40), Some(20))
    );
    assert!(
        first
            .services
            .iter()
            .any(|service| service.label == "skyring" || service.what.contains("Echo"))
    );
    assert!(first.services_total >= 21);

    std::thread::sleep(Duration::from_millis(150));
    run(&gate, |caller| async move {
        caller.node("db").call("@echo", &"more").await
    })
    .expect("an answer");
    let second = status(admin);
    assert_eq!(second.channels[0].calls, 102);
    assert!(second.uptime_ms > first.uptime_ms && second.shards[0].turns >= first.shards[0].turns);
    db.stop();
    wait_until("the peer is seen to be down", || {
        status(admin).peers[0].state == "down"
    });
}

#[test]
fn what_services_did_that_have_ended_stays_in_the_sums() {
    let (builder, admin) = builder(1, None);
    let node = builder.start().expect("a node");
    run(&node, |caller| async move {
        for _ in 0..5 {
            let echo = caller.launch(|_| Echo { answers: 0 }).await?;
            caller.call(echo, &"here").await?;
            caller.end_service(echo);
        }
        Ok::<(), skyring::Error>(())
    })
    .expect("calls");
    let status = status(admin);
    let echo = status
        .service_sums
        .iter()
        .find(|sum| sum.label == "Echo")
        .expect("it ran");
    assert_eq!((echo.services, echo.messages), (0, 5));
}
