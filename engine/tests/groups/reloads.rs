//! A changed map changes groups at once.

use skyring::config::Policy;
use skyring::{ClusterMap, Error};

use crate::cluster::reload;
use crate::node::run;
use crate::start::start;
use crate::support::{databases, map, map_of_group, who};

fn groups(text: &str) -> ClusterMap {
    ClusterMap::parse(&format!("__groups = {{ {text} }}"), "map.lua").expect("a valid map")
}

#[test]
fn a_reload_changes_members_and_policy_for_the_next_call() {
    let dbs = databases(3);
    let gate = start(2);
    reload(&gate, map_of_group(&dbs, Policy::Failover));
    let name = || run(&gate, |caller| async move { who(&caller, 1).await });
    assert_eq!(name().as_deref(), Ok("db1"));
    reload(&gate, groups(r#"db = { "db3", "db1" }"#));
    assert_eq!(name().as_deref(), Ok("db3"));
    reload(&gate, ClusterMap::new().disable("db3"));
    assert_eq!(name().as_deref(), Ok("db1"));
    reload(&gate, groups(r#"db = { "db2" }"#));
    assert_eq!(name().as_deref(), Ok("db2"));
}

#[test]
fn a_group_that_a_reload_takes_out_is_absent_and_may_be_a_node_again() {
    let dbs = databases(1);
    let gate = start(1);
    let mut first = map_of_group(&dbs, Policy::Failover);
    first.nowaiting = Some(true);
    reload(&gate, first);
    let name = || run(&gate, |caller| async move { who(&caller, 1).await });
    assert_eq!(name().as_deref(), Ok("db1"));
    reload(&gate, groups("db = false"));
    assert!(matches!(name(), Err(Error::Absent { .. })));
    reload(&gate, crate::cluster::map_of("db", &dbs[0].address()));
    assert_eq!(name().as_deref(), Ok("db1"));
    reload(&gate, groups(r#"db = { "db1" }"#));
    assert_eq!(name().as_deref(), Ok("db1"));
}

#[test]
fn a_call_that_waits_for_the_map_goes_to_the_group_that_it_brings() {
    let dbs = databases(2);
    let gate = start(2);
    reload(&gate, map(&dbs));
    let waiting = gate
        .run(|caller| async move { who(&caller, 1).await })
        .expect("the job is accepted");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(waiting.try_recv().is_err());
    reload(&gate, groups(r#"db = { "db2", "db1" }"#));
    let name = waiting.recv_timeout(crate::node::TIMEOUT).expect("it ends");
    assert_eq!(name.as_deref(), Ok("db2"));
}
