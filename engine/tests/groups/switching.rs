//! The switch to another member when one fails, and back when it returns.

use std::time::{Duration, Instant};

use skyring::config::Policy;
use skyring::{Error, NodeChange};

use crate::events::{DOWN_AFTER, Events};
use crate::node::{TIMEOUT, run, wait_until};
use crate::start::builder;
use crate::support::{Db, databases, map_of_group, who};

#[test]
fn calls_go_to_the_backup_while_the_first_is_gone_and_events_say_so() {
    let mut dbs = databases(2);
    let gate = builder(2)
        .down_after(DOWN_AFTER)
        .map(map_of_group(&dbs, Policy::Failover))
        .start()
        .expect("a node starts");
    let events = Events::of(&gate, "db");
    let name = || run(&gate, |caller| async move { who(&caller, 1).await });
    assert_eq!(name().as_deref(), Ok("db1"));

    dbs[0].stop();
    let event = events.wait_for(&[NodeChange::Switched]);
    assert_eq!((&*event.node, &*event.cause), ("db", "db2"));
    assert_eq!(name().as_deref(), Ok("db2"));

    dbs[0].start();
    let event = events.wait_for(&[NodeChange::Switched]);
    assert_eq!(&*event.cause, "db1");
    wait_until("the first is used again", || name().as_deref() == Ok("db1"));
}

#[test]
fn a_first_member_that_never_ran_costs_a_moment_and_no_error() {
    let mut dbs = vec![Db::new("db1"), Db::new("db2")];
    dbs[1].start();
    for policy in Policy::ALL {
        let gate = builder(2)
            .down_after(Duration::from_secs(60))
            .map(map_of_group(&dbs, policy))
            .start()
            .expect("a node starts");
        let names = run(&gate, |caller| async move {
            let mut names = Vec::new();
            for key in 0..8 {
                names.push(who(&caller, key).await);
            }
            names
        });
        let all: Result<Vec<String>, Error> = names.into_iter().collect();
        assert_eq!(all, Ok(vec!["db2".to_owned(); 8]), "{policy}");
    }
}

#[test]
fn when_a_member_goes_only_its_keys_move() {
    let mut dbs = databases(3);
    let gate = builder(2)
        .down_after(DOWN_AFTER)
        .map(map_of_group(&dbs, Policy::Hash))
        .start()
        .expect("a node starts");
    let names = || {
        run(&gate, |caller| async move {
            let mut names = Vec::new();
            for key in 0..30 {
                names.push(who(&caller, key).await.expect("an answer"));
            }
            names
        })
    };
    let before = names();
    let events = Events::of(&gate, "db2");
    dbs[1].stop();
    events.wait_for(&[NodeChange::Suspect, NodeChange::Down]);
    let after = names();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "db2", "{before} moved to {after}");
        assert_ne!(after, "db2");
    }
}

#[test]
fn when_all_members_are_gone_calls_fail_with_the_cause_and_then_go_on() {
    let mut dbs = databases(2);
    let gate = builder(1)
        .down_after(DOWN_AFTER)
        .map(map_of_group(&dbs, Policy::Failover))
        .start()
        .expect("a node starts");
    let name = || run(&gate, |caller| async move { who(&caller, 1).await });
    assert_eq!(name().as_deref(), Ok("db1"));
    for db in &mut dbs {
        db.stop();
    }
    let began = Instant::now();
    let error = loop {
        match name() {
            Err(error @ Error::Unreachable { .. }) => break error,
            other => assert!(began.elapsed() < TIMEOUT, "{other:?}"),
        }
    };
    assert!(!error.may_have_run(), "{error}");
    dbs[1].start();
    wait_until("the second is used", || name().as_deref() == Ok("db2"));
    dbs[0].start();
    wait_until("the first is used", || name().as_deref() == Ok("db1"));
}
