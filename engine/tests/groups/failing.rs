//! Calls that fail at one member: those that another member gets, and those that must not be repeated.

use std::time::Duration;

use skyring::config::{Group, Policy};
use skyring::{ClusterMap, Error, Payload};

use crate::node::{run, wait_until};
use crate::peer::Peer;
use crate::start::builder;
use crate::support::{databases, map};

/// How long the calls here have.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A map with a peer that the test plays as the first member, and a database as the second.
fn map_with(peer: &Peer, databases: &[crate::support::Db], hedge: Option<Duration>) -> ClusterMap {
    let map = map(databases)
        .with("played", &peer.address())
        .expect("a valid entry");
    let mut group = Group::new(Policy::Failover, ["played", "db1"]).expect("a valid group");
    if let Some(hedge) = hedge {
        group = group.hedge_after(hedge);
    }
    map.with_group("db", group).expect("a free name")
}

#[test]
fn a_call_that_did_not_run_goes_to_the_next_member_without_a_mark() {
    let dbs = databases(1);
    let map = map(&dbs).disable("off");
    let group = Group::new(Policy::Random, ["off", "gone", "db1"]).expect("a valid group");
    let mut map = map.with_group("db", group).expect("a free name");
    map.nowaiting = Some(true);
    let gate = builder(1).map(map).start().expect("a node starts");
    let name = run(&gate, |caller| async move {
        let reply: Payload = caller.node("db").call("@echo", "who").timeout(TIMEOUT).await?;
        reply.unpack::<String>()
    });
    assert_eq!(name.as_deref(), Ok("db1"));
}

#[test]
fn a_call_that_may_have_run_fails_unless_it_is_marked() {
    let dbs = databases(1);
    let peer = Peer::listen();
    let gate = builder(1)
        .map(map_with(&peer, &dbs, None))
        .start()
        .expect("a node starts");
    for is_idempotent in [false, true] {
        let answer = gate
            .run(move |caller| async move {
                let mut call = caller.node("db").call("@echo", "who").timeout(TIMEOUT);
                if is_idempotent {
                    call = call.idempotent();
                }
                call.await?.unpack::<String>()
            })
            .expect("the job is accepted");
        let mut connection = peer.accept();
        // The peer has something of the call, and is gone.
        connection.read_bytes(10);
        drop(connection);
        let answer = answer.recv_timeout(TIMEOUT).expect("it ends");
        match answer {
            Ok(name) => assert_eq!((name.as_str(), is_idempotent), ("db1", true)),
            Err(error) => {
                assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
                assert!(error.may_have_run() && !is_idempotent, "{error}");
            }
        }
    }
    assert!(gate.metrics().group_calls_moved.get() >= 1);
}

#[test]
fn a_marked_call_that_takes_long_is_hedged_and_an_unmarked_one_waits() {
    let dbs = databases(1);
    let peer = Peer::listen();
    let map = map_with(&peer, &dbs, Some(Duration::from_millis(30)));
    let gate = builder(1).map(map).start().expect("a node starts");
    let unmarked = gate
        .run(|caller| async move {
            let call = caller.node("db").call("@echo", "who").timeout(TIMEOUT);
            call.await?.unpack::<String>()
        })
        .expect("the job is accepted");
    let mut connection = peer.accept();
    let (session, _) = connection.read_request();
    let marked = run(&gate, |caller| async move {
        let call = caller.node("db").call("@echo", "who").timeout(TIMEOUT);
        call.idempotent().await?.unpack::<String>()
    });
    assert_eq!(marked.as_deref(), Ok("db1"));
    assert_eq!(gate.metrics().group_calls_hedged.get(), 1);
    // The first member got the idempotent call too, and its late answer is dropped.
    let (late, _) = connection.read_request();
    let answer = Payload::pack("played").expect("a short text");
    connection.answer(late, &answer.0);
    connection.answer(session, &answer.0);
    let unmarked = unmarked.recv_timeout(TIMEOUT).expect("it ends");
    assert_eq!(unmarked.as_deref(), Ok("played"));
    wait_until("nothing waits any more", || {
        run(&gate, |caller| async move { caller.waiting() }) == 0
    });
    drop(gate);
    connection.wait_closed();
}

#[test]
fn an_error_of_the_service_is_the_answer_of_the_group() {
    let dbs = databases(2);
    let map = crate::support::map_of_group(&dbs, Policy::Failover);
    let gate = builder(1).map(map).start().expect("a node starts");
    let (failed, unknown) = run(&gate, |caller| async move {
        let node = caller.node("db");
        (
            node.call("@echo", "fail").idempotent().await,
            node.call("@nobody", "who").await,
        )
    });
    assert_eq!(failed, Err(Error::remote("unknown command: fail")));
    assert!(matches!(unknown, Err(Error::NoSuchService { .. })), "{unknown:?}");
    assert_eq!(gate.metrics().group_calls_moved.get(), 0);
}
