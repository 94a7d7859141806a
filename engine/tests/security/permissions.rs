//! Who may call what: by the proved name of the node, whatever a request addresses the service by.

use skyring::{Address, Error, Handle, Node, NodeBuilder, Security};

use crate::cluster::{Echo, map_of, open, reload, serve};
use crate::node::run;
use crate::start::builder;
use crate::support::{SECRET, closed, counter, security};

/// A node that runs services `free`, `sdb` and the keyed `table` under these rules, and its address.
fn serving(change: impl FnOnce(Security) -> Result<Security, String>) -> (Node, String) {
    let security = change(security(&[SECRET])).expect("valid rules");
    let node = builder(2).security(security).start().expect("a node starts");
    for name in ["free", "sdb"] {
        serve(&node, name, |_| Echo("db"));
    }
    run(&node, |caller| async move {
        let table = caller.launch_keyed(|_| Echo("db")).await.expect("it launches");
        caller
            .cluster()
            .register("table", Some(table))
            .expect("a free name");
    });
    let address = open(&node);
    (node, address)
}

fn named(name: &str, address: &str) -> Node {
    started(closed(1).name(name), address)
}

fn started(builder: NodeBuilder, address: &str) -> Node {
    let node = builder.start().expect("a node starts");
    reload(&node, map_of("db", address));
    node
}

/// Calls a service of `db`; the reason of a refusal is the error.
fn call(node: &Node, address: &str) -> Result<(), String> {
    let address = Address::from(address);
    let answer = run(node, |caller| async move {
        caller.node("db").call(address, "who").await
    });
    match answer {
        Ok(_) => Ok(()),
        Err(Error::Denied { reason }) => Err(reason.to_string()),
        Err(other) => panic!("{other}"),
    }
}

/// The handle of a service of `db`.
fn query(node: &Node, name: &'static str) -> Result<Handle, Error> {
    run(node, move |caller| async move {
        caller.cluster().query("db", name).await
    })
}

#[test]
fn a_rule_lets_its_callers_in_and_denies_all_others() {
    let (db, address) = serving(|security| {
        security
            .allow("sdb", &["gate*", "admin"])?
            .allow("table", &["admin"])
    });
    let (gate, admin, scene, nameless) = (
        named("gate_beijing", &address),
        named("admin", &address),
        named("scene", &address),
        started(closed(1), &address),
    );
    for node in [&gate, &admin, &scene, &nameless] {
        assert_eq!(call(node, "@free"), Ok(()));
    }
    assert_eq!((call(&gate, "@sdb"), call(&admin, "@sdb")), (Ok(()), Ok(())));
    assert_eq!(
        call(&scene, "@sdb"),
        Err("node scene may not call @sdb".to_owned())
    );
    assert_eq!(
        call(&nameless, "@sdb"),
        Err("a node without a name may not call @sdb".to_owned())
    );
    assert_eq!(call(&admin, "@table"), Ok(()));
    assert_eq!(
        call(&gate, "@table"),
        Err("node gate_beijing may not call @table".to_owned())
    );
    // A query for its handle is denied too.
    assert!(matches!(query(&scene, "sdb"), Err(Error::Denied { .. })));
    let handle = query(&gate, "sdb").expect("it may know it");
    // And so is a call by its handle.
    assert_eq!(call(&gate, &handle.to_string()), Ok(()));
    assert_eq!(
        call(&scene, &handle.to_string()),
        Err("node scene may not call @sdb".to_owned())
    );
    assert_eq!(counter(&db, "calls_not_allowed"), 5);
    assert_eq!(call(&scene, "@free"), Ok(()), "the connection is the same");
    for node in [gate, admin, scene, nameless, db] {
        node.stop();
    }
}

#[test]
fn a_rule_follows_its_name_to_another_service() {
    let (db, address) = serving(|security| security.allow("sdb", &["admin"])?.allow("free2", &["admin"]));
    let gate = named("gate", &address);
    assert!(call(&gate, "@sdb").is_err());
    assert_eq!(call(&gate, "@free"), Ok(()));
    // The open service gets a name that has a rule, and the other one loses its own.
    run(&db, |caller| async move {
        let free = caller.find("@free").expect("it is registered");
        caller.cluster().unregister("sdb");
        caller
            .cluster()
            .register("free2", Some(free))
            .expect("a free name");
    });
    assert!(call(&gate, "@free2").is_err());
    let fresh = serve(&db, "sdb", |_| Echo("another"));
    assert!(call(&gate, "@sdb").is_err());
    assert!(call(&gate, &fresh.to_string()).is_err());
    for node in [gate, db] {
        node.stop();
    }
}

#[test]
fn a_default_can_deny_every_service_without_a_rule() {
    let (db, address) = serving(|security| security.allow("sdb", &["gate"])?.allow_default(&[]));
    let gate = named("gate", &address);
    assert_eq!(call(&gate, "@sdb"), Ok(()));
    assert!(call(&gate, "@free").is_err() && call(&gate, "@table").is_err());
    // A handle that nobody has is no exception.
    assert!(call(&gate, ":00fffff0").is_err());
    let (other, other_address) = serving(|security| security.allow_default(&["admin"]));
    let admin = named("admin", &other_address);
    assert_eq!((call(&admin, "@free"), call(&admin, "@table")), (Ok(()), Ok(())));
    for node in [gate, db, admin, other] {
        node.stop();
    }
}

#[test]
fn a_proxy_calls_in_the_name_of_its_node() {
    let (db, address) = serving(|security| security.allow("sdb", &["gate"]));
    for (name, is_allowed) in [("gate", true), ("scene", false)] {
        let node = named(name, &address);
        let answer = run(&node, |caller| async move {
            let proxy = caller.cluster().proxy_of("db@sdb").await.expect("it launches");
            caller.call(proxy, "who").await.map(|_| ())
        });
        match is_allowed {
            true => assert_eq!(answer, Ok(())),
            false => {
                let error = answer.expect_err("denied").to_string();
                assert!(error.contains("node scene may not call @sdb"), "{error}");
            }
        }
        node.stop();
    }
    db.stop();
}

#[test]
fn a_skynet_peer_is_known_by_its_address() {
    let (db, address) = serving(|security| {
        let network = "127.0.0.0/8".parse().expect("a network");
        let security = security
            .allow_skynet_peers(network)
            .allow("sdb", &["127.0.0.0/16"])?;
        security.allow("free", &["10.0.0.0/8", "gate"])
    });
    let game = started(
        builder(1).dialect(skyring::DialectChoice::Skynet).name("gate"),
        &address,
    );
    assert_eq!(call(&game, "@sdb"), Ok(()));
    // The name of a node in the skynet dialect proves nothing.
    assert_eq!(
        call(&game, "@free"),
        Err("the Skynet node 127.0.0.1 may not call @free".to_owned())
    );
    for node in [game, db] {
        node.stop();
    }
}

#[test]
fn names_and_the_map_cannot_be_changed_from_afar() {
    let (db, address) = serving(Ok);
    let gate = named("gate", &address);
    let before = run(&db, |caller| async move { caller.cluster().map() });
    for command in ["REGISTER", "register", "reload", "unregister"] {
        // Handle 0 is the node itself, and knows nothing but the query for a name.
        let answer = run(&gate, move |caller| async move {
            caller.node("db").call(Handle::NONE, &(command, "sdb", 7)).await
        });
        assert!(
            matches!(answer, Err(Error::NoSuchService { .. })),
            "{command}: {answer:?}"
        );
    }
    assert_eq!(call(&gate, "@sdb"), Ok(()));
    let after = run(&db, |caller| async move { caller.cluster().map() });
    assert_eq!(before, after);
    for node in [gate, db] {
        node.stop();
    }
}
