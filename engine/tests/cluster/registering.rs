//! `@name` is registered, queried and unregistered by Skynet's rules.

use crate::cluster::{Echo, serve};
use crate::handler::launch_echo;
use crate::node::run;
use crate::support::pair;

#[test]
fn a_second_registration_is_refused_and_another_name_replaces_the_first() {
    let (gate, db) = pair();
    let (one, two) = run(&db, |caller| async move {
        let (one, two) = (launch_echo(&caller).await, launch_echo(&caller).await);
        let cluster = caller.cluster();
        cluster.register("first", Some(one)).expect("a free name");
        let error = cluster.register("first", Some(two)).unwrap_err();
        assert_eq!(error.code(), "invalid");
        assert!(
            error.to_string().contains("@first") && error.to_string().contains(&one.to_string()),
            "{error}"
        );
        cluster.register("@second", Some(one)).expect("another name");
        cluster
            .register("first", Some(two))
            .expect("the old name is free");
        (one, two)
    });
    run(&gate, move |caller| async move {
        let cluster = caller.cluster();
        assert_eq!(cluster.query("db", "second").await, Ok(one));
        assert_eq!(cluster.query("db", "@first").await, Ok(two));
    });
}

#[test]
fn unregistering_a_name_frees_it_and_an_unknown_one_is_no_error() {
    let (gate, db) = pair();
    run(&db, |caller| async move {
        caller.cluster().unregister("nobody");
        caller.cluster().unregister("@echo");
        caller.cluster().unregister("echo");
    });
    run(&gate, |caller| async move {
        let error = caller.node("db").call("@echo", "who").await.unwrap_err();
        assert_eq!(error.to_string(), "no-such-service: @echo");
    });
    serve(&db, "echo", |_| Echo("new"));
    run(&gate, |caller| async move {
        let reply = caller
            .node("db")
            .call("@echo", "who")
            .await
            .expect("the name is back");
        assert_eq!(reply.unpack::<&str>().expect("a text"), "new");
    });
}

#[test]
fn a_query_for_an_unknown_name_is_an_error() {
    let (gate, _db) = pair();
    run(&gate, |caller| async move {
        for name in ["nobody", "@nobody", ".echo", ""] {
            let error = caller.cluster().query("db", name).await.unwrap_err();
            assert_eq!(error.code(), "no-such-service", "{name}: {error}");
            assert!(error.to_string().contains("db@"), "{error}");
        }
    });
}

#[test]
fn a_name_ends_with_its_service() {
    let (gate, db) = pair();
    let mortal = run(&db, |caller| async move {
        let mortal = crate::handler::launch(&caller, |caller, _| {
            caller.exit();
            skyring::Answer::now("bye")
        })
        .await;
        caller
            .cluster()
            .register("mortal", Some(mortal))
            .expect("a free name");
        mortal
    });
    run(&gate, move |caller| async move {
        let db = caller.node("db");
        assert_eq!(caller.cluster().query("db", "mortal").await, Ok(mortal));
        assert!(db.call("@mortal", &()).await.is_ok());
        assert_eq!(
            db.call("@mortal", &()).await.unwrap_err().code(),
            "no-such-service"
        );
        assert_eq!(db.call(mortal, &()).await.unwrap_err().code(), "no-such-service");
        assert_eq!(
            caller.cluster().query("db", "mortal").await.unwrap_err().code(),
            "no-such-service"
        );
    });
}
