//! Who gets what while everybody is up.

use std::collections::BTreeMap;
use std::sync::Arc;

use skyring::config::Policy;
use skyring::placement::member_of_key;
use skyring::{ClusterMap, Payload};

use crate::cluster::{Echo, open, reload, serve, who as ask};
use crate::node::{run, wait_until};
use crate::start::{builder, start};
use crate::support::{MEMBERS, databases, map_of_group, who};

/// How many of 60 calls each member gets, each call with a key of its own.
fn shares(policy: Policy, map: ClusterMap) -> BTreeMap<String, usize> {
    let gate = builder(1).map(map).start().expect("a node starts");
    run(&gate, move |caller| async move {
        let mut shares = BTreeMap::new();
        for key in 0..60 {
            let name = who(&caller, key)
                .await
                .unwrap_or_else(|error| panic!("{policy}: {error}"));
            *shares.entry(name).or_insert(0) += 1;
        }
        shares
    })
}

#[test]
fn each_policy_gives_every_member_what_it_promises() {
    let dbs = databases(3);
    for policy in Policy::ALL {
        let shares = shares(policy, map_of_group(&dbs, policy));
        let all = shares.len();
        match policy {
            Policy::Failover => assert_eq!(shares, [("db1".to_owned(), 60)].into()),
            Policy::RoundRobin => assert!(shares.values().all(|share| *share == 20), "{shares:?}"),
            Policy::Random | Policy::Hash => assert_eq!(all, 3, "{policy}: {shares:?}"),
            // In sequence there is never a call in flight, and all members are equally near.
            Policy::LeastInFlight | Policy::Nearest => assert!(all >= 1, "{policy}: {shares:?}"),
        }
    }
}

#[test]
fn a_key_has_the_member_that_the_public_function_says_for_every_sort_of_caller() {
    let dbs = databases(3);
    let gate = start(3);
    reload(&gate, map_of_group(&dbs, Policy::Hash));
    let expected = |key: u64| MEMBERS[member_of_key(key, MEMBERS).expect("three members")];
    for key in [1, 2, 77, 1 << 40] {
        let from_service = run(&gate, move |caller| async move { who(&caller, key).await });
        assert_eq!(from_service.as_deref(), Ok(expected(key)));
        let call = gate.client().node("db").key(key).call("@echo", "who");
        let from_outside: String = call.wait().and_then(|reply| reply.unpack()).expect("an answer");
        assert_eq!(from_outside, expected(key));
    }
    let through_proxy = run(&gate, |caller| async move {
        let proxy = caller.cluster().proxy("db", "@echo").await?;
        let reply: Payload = caller.call(proxy, "who").await?;
        reply.unpack::<String>()
    });
    assert!(MEMBERS.contains(&through_proxy.expect("an answer").as_str()));
}

#[test]
fn the_fewest_in_flight_get_the_next_call() {
    let dbs = databases(2);
    let gate = builder(1)
        .map(map_of_group(&dbs, Policy::LeastInFlight))
        .start()
        .expect("a node starts");
    let names = run(&gate, |caller| async move {
        let names = Arc::new(std::sync::Mutex::new(Vec::new()));
        for key in 0..10 {
            let (there, names) = (caller.clone(), Arc::clone(&names));
            caller.spawn(async move {
                let name = who(&there, key).await.expect("an answer");
                names.lock().expect("no panic with the lock").push(name);
            });
        }
        while names.lock().expect("no panic with the lock").len() < 10 {
            caller.sleep(std::time::Duration::from_millis(1)).await;
        }
        names.lock().expect("no panic with the lock").clone()
    });
    // All ten began before the first answer.
    let first = names.iter().filter(|name| *name == "db1").count();
    assert_eq!((first, names.len()), (5, 10), "{names:?}");
}

#[test]
fn a_node_of_a_region_prefers_the_members_of_its_region() {
    let mut map = ClusterMap::new();
    let names = ["db_shanghai", "db_beijing"];
    let dbs = names.map(|name| {
        let db = start(1);
        serve(&db, "echo", move |_| Echo(name));
        let address = open(&db);
        (db, address)
    });
    for (name, (_, address)) in names.iter().zip(&dbs) {
        map = map.with(name, address).expect("a valid entry");
    }
    let text = r#"__groups = { db = { "db_shanghai", "db_beijing", policy = "nearest" } }"#;
    map.merge(ClusterMap::parse(text, "map.lua").expect("a valid map"));
    for (name, expected) in [("gate_beijing", names[1]), ("gate_shanghai", names[0])] {
        let gate = builder(1)
            .name(name)
            .map(map.clone())
            .start()
            .expect("a node starts");
        let found = run(&gate, |caller| async move { ask(&caller, "db").await });
        assert_eq!(found.as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn sends_go_to_the_member_of_their_key_too() {
    let dbs = databases(3);
    let gate = builder(2)
        .map(map_of_group(&dbs, Policy::RoundRobin))
        .start()
        .expect("a node starts");
    run(&gate, |caller| async move {
        for number in 0..30 {
            caller.node("db").send("@echo", &number).expect("it is packed");
        }
    });
    for db in &dbs {
        let handled = || db.metrics().connections_accepted.get() > 0;
        wait_until("every member is connected to", handled);
    }
}
