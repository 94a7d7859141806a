//! A config says how its services are started again; what is wrong in it is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyring::config::{Escalation, NodeConfig, RestartConfig};
use skyring::log::Destination;

use skyring::{Kinds, NodeBuilder, Restart, Strategy};

use crate::mortal::{Mortal, Record, wait_for_life};
use crate::node::{run, wait_until};

fn load(text: &str) -> Result<NodeConfig, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    std::fs::write(&path, text).expect("a file");
    NodeConfig::load(&path).map_err(|error| {
        let text = error.to_string();
        text.rsplit_once("config: ")
            .map(|(_, text)| text.to_owned())
            .unwrap_or(text)
    })
}

#[test]
fn a_service_is_a_text_or_a_table_with_how_it_is_started_again() {
    let config = load(
        r#"
        services = {
            a = "kind",
            b = { "keyed kind x y", restart = "always" },
            c = { "kind", restart = "on-failure", restart_delay_ms = 20000, stop_timeout_ms = "100" },
        }
        supervision = { strategy = "rest-for-one", restarts_max = 7, period_ms = 500, escalation = "log" }
        "#,
    )
    .expect("a config");
    assert_eq!(config.services["a"].restart, RestartConfig::default());
    let b = &config.services["b"];
    assert_eq!(
        (b.keyed, b.kind.as_str(), b.arguments.as_str()),
        (true, "kind", "x y")
    );
    assert_eq!(b.restart.restart, Restart::Always);
    let c = config.services["c"].restart;
    assert_eq!(
        (c.restart, c.delay_ms, c.delay_ms_max),
        (Restart::OnFailure, 20_000, 20_000)
    );
    assert_eq!(c.stop_timeout_ms, Some(100));
    let supervision = config.supervision.expect("a table");
    assert_eq!(
        (supervision.strategy, supervision.escalation),
        (Strategy::RestForOne, Escalation::Log)
    );
    assert_eq!((supervision.restarts_max, supervision.period_ms), (7, 500));
    assert_eq!(load("thread = 1").expect("a config").supervision, None);
}

#[test]
fn what_is_wrong_in_a_supervised_service_is_named_with_its_key_and_what_is_allowed() {
    for (text, expected) in [
        (
            "services = { a = { 'kind', restart = 'allways' } }",
            "services.a.restart: expected \"always\", \"on-failure\" or \"never\", found \"allways\"",
        ),
        (
            "services = { a = { 'kind', restart = true } }",
            "services.a.restart: expected \"always\", \"on-failure\" or \"never\", found true",
        ),
        (
            "services = { a = { 'kind', restarts = 'always' } }",
            "services.a.restarts: expected one of restart, restart_delay_ms, restart_delay_ms_max, stop_timeout_ms, \
             found \"restarts\"",
        ),
        (
            "services = { a = { 'kind', restart_delay_ms = -1 } }",
            "services.a.restart_delay_ms: expected milliseconds, 0 to 3600000, found the number -1",
        ),
        (
            "services = { a = { 'kind', restart_delay_ms = 100, restart_delay_ms_max = 50 } }",
            "services.a.restart_delay_ms_max: expected at least restart_delay_ms, which is 100, found the number 50",
        ),
        (
            "services = { a = { restart = 'always' } }",
            "services.a: expected \"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \
             \"always\" }, found a table",
        ),
        (
            "services = { a = { 'kind', 'other' } }",
            "services.a: expected \"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \
             \"always\" }, found a table",
        ),
        (
            "supervision = { strategy = 'one_for_one' }",
            "supervision.strategy: expected \"one-for-one\", \"rest-for-one\" or \"all\", found \"one_for_one\"",
        ),
        (
            "supervision = { escalation = 'panic' }",
            "supervision.escalation: expected \"stop\" or \"log\", found \"panic\"",
        ),
        (
            "supervision = { restarts_max = 100001 }",
            "supervision.restarts_max: expected a whole number from 0 to 100000, found the number 100001",
        ),
        (
            "supervision = { period_ms = 0 }",
            "supervision.period_ms: expected milliseconds, 1 to 3600000, found the number 0",
        ),
        (
            "supervision = { intensity = 5 }",
            "supervision.intensity: expected one of strategy, restarts_max, period_ms, escalation, found \"intensity\"",
        ),
        (
            "supervision = 'always'",
            "supervision: expected { strategy = \"one-for-one\", restarts_max = 5, period_ms = 10000 }, found \"always\"",
        ),
    ] {
        assert_eq!(load(text).unwrap_err(), expected, "{text}");
    }
}

fn kinds() -> Kinds {
    let lives = Arc::new(AtomicUsize::new(0));
    Kinds::default().add("mortal", move |_| {
        Ok(Mortal {
            name: "mortal",
            record: Record::default(),
            life: lives.fetch_add(1, Ordering::AcqRel) + 1,
            failing_starts: 0,
            stop_time: None,
        })
    })
}

fn start(text: &str) -> Result<skyring::Node, String> {
    let config = load(text).expect("a config");
    let builder = NodeBuilder::from_config(config, None).kinds(kinds());
    let builder = builder.log_to(Destination::File("/dev/null".into()));
    builder.start().map_err(|error| error.to_string())
}

#[test]
fn a_service_of_a_config_is_started_again_under_its_name_and_the_node_fails_past_the_limit() {
    let text = "thread = 2 stop_timeout_ms = 100 services = { m = { 'mortal', restart = 'always', restart_delay_ms = 0 } } \
                supervision = { restarts_max = 2 }";
    let node = start(text).expect("a node");
    run(&node, |caller| async move {
        for life in [2, 3] {
            let _ = caller.call("@m", "PANIC").await;
            wait_for_life(&caller, "@m", life).await;
        }
        let _ = caller.call("@m", "PANIC").await;
    });
    wait_until("the node has failed", || node.failure().is_some());
    run(&node, |caller| async move {
        assert_eq!(
            caller.call("@m", "LIFE").await.unwrap_err().code(),
            "no-such-service"
        );
    });
    let failure = node.failure().expect("a failure");
    assert!(
        failure.contains("more than 2 restarts within 10000 ms"),
        "{failure}"
    );
}

#[test]
fn a_service_without_a_restart_ends_for_good_as_before() {
    let node = start("thread = 1 stop_timeout_ms = 100 services = { m = 'mortal' }").expect("a node");
    run(&node, |caller| async move {
        let _ = caller.call("@m", "PANIC").await;
        assert_eq!(
            caller.call("@m", "LIFE").await.unwrap_err().code(),
            "no-such-service"
        );
    });
    assert_eq!((node.failure(), node.metrics().restarts.get()), (None, 0));
}

#[test]
fn a_supervised_service_that_does_not_start_is_named_by_its_key() {
    let error = start("thread = 1 services = { m = { 'dragon', restart = 'always' } }")
        .map(|_| ())
        .unwrap_err();
    assert!(
        error.contains("config: services.m: ") && error.contains("no service kind \"dragon\""),
        "{error}"
    );
}
