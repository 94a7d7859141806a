//! A service of another node is reached by every kind of address, and its errors arrive unchanged.

use skyring::{Address, Error};

use crate::cluster::serve;
use crate::handler::Handler;
use crate::node::{TIMEOUT, run, wait_until};
use crate::support::{ask, pair, serve_record};

#[test]
fn a_call_goes_to_a_registered_name_a_local_name_a_hex_handle_and_a_number() {
    let (gate, db) = pair();
    let echo = run(&db, |caller| async move {
        let named = crate::handler::launch(&caller, |caller, message| {
            let _ = caller.name("local");
            skyring::Answer::payload(message.payload)
        })
        .await;
        caller.call(named, &()).await.expect("it has its name now");
        caller
            .cluster()
            .register("global", Some(named))
            .expect("a free name");
        named
    });
    run(&gate, move |caller| async move {
        let (hex, number) = (echo.to_string(), echo.0.to_string());
        let addresses: [Address; 5] = [
            "@global".into(),
            ".local".into(),
            hex.as_str().into(),
            number.as_str().into(),
            echo.into(),
        ];
        for address in addresses {
            let reply = caller
                .node("db")
                .call(address.clone(), &("x", 7))
                .timeout(TIMEOUT)
                .await;
            let reply = reply.unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(reply.unpack::<(&str, i64)>().expect("two values"), ("x", 7));
        }
    });
}

#[test]
fn an_unknown_address_is_no_such_service() {
    let (gate, _db) = pair();
    run(&gate, |caller| async move {
        for address in ["@nobody", ".nobody", ":00ffffff", "16777215", "nobody"] {
            let error = caller
                .node("db")
                .call(address, &1)
                .timeout(TIMEOUT)
                .await
                .unwrap_err();
            assert_eq!(error.code(), "no-such-service", "{address}: {error}");
            let shown = Address::from(address).to_string();
            assert!(error.to_string().contains(&shown), "{address}: {error}");
            assert!(!error.may_have_run(), "{address}: {error}");
        }
    });
    assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
}

#[test]
fn an_error_of_the_other_side_arrives_with_its_exact_text() {
    let (gate, db) = pair();
    for text in ["unknown command: fail", "a: b: c", "näh\n\tzwei", ""] {
        let name = format!("fail{}", text.len());
        serve(&db, &name, move |_| {
            Handler(move |_: &skyring::Caller, _| skyring::Answer::error(Error::remote(text)))
        });
        run(&gate, move |caller| async move {
            let address = format!("@{name}");
            let error = caller
                .node("db")
                .call(address.as_str(), &1)
                .timeout(TIMEOUT)
                .await
                .unwrap_err();
            assert_eq!(error, Error::remote(text));
            assert_eq!(error.to_string(), text);
        });
    }
}

#[test]
fn sends_arrive_and_undeliverable_ones_are_counted_without_other_effects() {
    let (gate, db) = pair();
    let record = serve_record(&db, "record");
    run(&gate, |caller| async move {
        let db = caller.node("db");
        for number in 0..100i64 {
            db.send("@record", &number).expect("it can be packed");
            db.send("@nobody", &number).expect("it can be packed");
        }
    });
    wait_until("every send has arrived", || record.len() == 100);
    assert_eq!(record.numbers(), (0..100).collect::<Vec<i64>>());
    wait_until("every other send is counted", || {
        db.metrics().sends_dropped.get() == 100
    });
}

#[test]
fn a_value_that_cannot_be_packed_is_the_callers_own_error() {
    let (gate, _db) = pair();
    run(&gate, |caller| async move {
        let too_long = "n".repeat(256);
        let error = caller
            .node("db")
            .call(format!("@{too_long}").as_str(), &1)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "invalid", "{error}");
    });
    assert_eq!(ask(&gate, "db"), Ok("db".to_owned()));
}
