//! Nodes that have a secret in common.

use crate::start::builder;
use crate::support::{OTHER, SECRET, ask, closed, counter, dialling, security, serving};

#[test]
fn nodes_with_the_same_secret_call_each_other_over_every_channel() {
    let (db, address) = serving(closed(2).channels(4));
    let gate = dialling(closed(2).channels(4), &address);
    for _ in 0..50 {
        assert_eq!(ask(&gate), Ok("db".to_owned()));
    }
    for name in [
        "connections_without_secret",
        "connections_other_secret",
        "connections_hello_replayed",
    ] {
        assert_eq!(counter(&db, name), 0, "{name}");
    }
    gate.stop();
    db.stop();
}

#[test]
fn a_secret_is_exchanged_one_node_after_the_other_while_all_can_call() {
    let third = "the third secret, which nobody else has";
    let (db, address) = serving(builder(1).security(security(&[OTHER, SECRET])));
    for secrets in [&[SECRET][..], &[OTHER], &[SECRET, OTHER], &[third, OTHER]] {
        let gate = dialling(builder(1).security(security(secrets)), &address);
        assert_eq!(ask(&gate), Ok("db".to_owned()));
        gate.stop();
    }
    db.stop();
}
