//! A node listens on a map entry or on a port, and its error tells why it cannot.

use skyring::Open;

use crate::cluster::{Echo, map_of, open, reload, serve, who};
use crate::node::run;
use crate::ports::{ReservedPort, open_at};
use crate::start::start;
use crate::support::ask;

#[test]
fn a_node_listens_on_its_entry_in_the_map_and_on_any_free_port() {
    let (gate, db) = (start(1), start(2));
    serve(&db, "echo", |_| Echo("db"));
    let port = ReservedPort::new();
    let opened = open_at(&db, &port.address()).expect("the entry's port is free");
    assert_eq!(opened.to_string(), port.address());
    reload(&gate, map_of("by_name", &port.address()));
    let second = open(&db);
    assert_ne!(second, port.address());
    reload(&gate, map_of("by_port", &second));
    run(&gate, |caller| async move {
        for name in ["by_name", "by_port"] {
            assert_eq!(who(&caller, name).await, Ok("db".to_owned()));
        }
    });
    assert_eq!(db.metrics().connections_accepted.get(), 2);
}

#[test]
fn a_busy_port_is_an_error_that_names_it_and_the_node_continues() {
    let (first, second) = (start(1), start(1));
    let address = open(&first);
    let port: u16 = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let error = run(&second, move |caller| async move {
        caller.cluster().open(port, None).await
    })
    .unwrap_err();
    assert_eq!(error.code(), "system");
    let text = error.to_string();
    assert!(
        text.contains(&port.to_string()) && text.contains("the port is in use"),
        "{text}"
    );
    let error = open_at(&second, &address).unwrap_err().to_string();
    assert!(
        error.contains(&address) && error.contains("the port is in use"),
        "{error}"
    );
    open(&second);
}

#[test]
fn a_name_without_an_address_is_down() {
    let node = start(1);
    reload(&node, map_of("off", "127.0.0.1:1").disable("off"));
    run(&node, |caller| async move {
        for name in ["nowhere", "off"] {
            let error = caller
                .cluster()
                .open(Open::Node(name.to_owned()), None)
                .await
                .unwrap_err();
            assert_eq!(error.code(), "invalid");
            assert!(error.to_string().contains(&format!("{name} is down")), "{error}");
        }
    });
}

#[test]
fn a_node_calls_itself_over_the_network() {
    for threads in [1, 3] {
        let node = start(threads);
        serve(&node, "echo", |_| Echo("me"));
        reload(&node, map_of("self", &open(&node)));
        run(&node, |caller| async move {
            for _ in 0..100 {
                assert_eq!(who(&caller, "self").await, Ok("me".to_owned()));
            }
        });
        assert_eq!(node.metrics().connections_accepted.get(), 1);
    }
}

#[test]
fn a_listener_refuses_the_clients_over_its_maximum() {
    let db = start(1);
    serve(&db, "echo", |_| Echo("db"));
    let opened = run(
        &db,
        |caller| async move { caller.cluster().open(0, Some(2)).await },
    );
    let address = format!("127.0.0.1:{}", opened.expect("a free port").port());
    let served: Vec<_> = (0..2)
        .map(|_| {
            let gate = start(1);
            reload(&gate, map_of("db", &address));
            assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
            gate
        })
        .collect();
    let late = start(1);
    reload(&late, map_of("db", &address));
    let call = run(&late, |caller| async move {
        caller
            .node("db")
            .call("@echo", "who")
            .timeout(std::time::Duration::from_millis(300))
            .await
    });
    assert!(call.is_err());
    assert!(db.metrics().connections_refused.get() >= 1);
    // A closed connection makes space for another.
    drop(served);
    assert_eq!(ask(&late, "db"), Ok("db".to_owned()));
}
