//! Several nodes behind one name.

use super::Cluster;
use super::peers::{Callee, text};
use crate::config::ClusterMap;
use crate::rt::manual;

/// Two members; calls go to the first that is up.
fn failover() -> ClusterMap {
    let source = r#"
        db1 = "127.0.0.1:7101"
        db2 = "127.0.0.1:7102"
        __groups = { db = { "db1", "db2" } }
    "#;
    ClusterMap::parse(source, "test").expect("a map")
}

/// Accepts the attempt to connect to the member with this port.
fn accept(cluster: &Cluster, dials: &mut Vec<manual::Dial>, port: u16) -> Callee {
    dials.extend(manual::dials());
    let at = dials.iter().position(|dial| dial.address.port() == port);
    let dial = dials.remove(at.expect("the member is being connected to"));
    Callee::accept_as(cluster, dial, u64::from(port), 1)
}

#[test]
fn a_call_that_did_not_run_at_one_member_goes_to_the_next_and_is_answered_once() {
    let cluster = Cluster::with(1, failover(), |settings| settings.channels = None);
    let call = cluster.call("db", "hello");
    let mut dials = Vec::new();
    let mut second = accept(&cluster, &mut dials, 7_102);
    assert!(
        second.texts(&cluster).is_empty(),
        "the first member is not lost yet"
    );
    // The first member refuses connections until it is suspect and its calls move.
    for _ in 0..200 {
        dials.extend(manual::dials());
        dials.drain(..).for_each(manual::Dial::refuse);
        cluster.pass(1);
    }
    let requests = second.requests(&cluster);
    assert_eq!(requests.iter().map(text).collect::<Vec<_>>(), ["hello"]);
    second.answer(&cluster, &requests[0], "from the second");
    assert_eq!(cluster.outcome(call), Some(Ok("from the second".to_owned())));
    assert_eq!(cluster.shard().node.metrics.group_calls_moved.get(), 1);
}
