//! The monitor reports changes of nodes and groups to the log, a hook and a closure, and answers its commands.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{Answer, Caller, ClusterMap, Context, Error, Message, Node, Service};
use skyring_services::{Change, NodeMonitor, kinds};

/// The longest wait for an expected event.
const TIMEOUT: Duration = Duration::from_secs(20);

fn node(map: ClusterMap) -> Node {
    Node::builder()
        .kinds(kinds())
        .map(map)
        .down_after(Duration::from_millis(1_000))
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("a node starts")
}

/// A node that listens, and its address.
fn database() -> (Node, String) {
    let db = node(ClusterMap::new());
    let opened = db.block_on(|caller| async move { caller.cluster().open(0, None).await });
    let port = opened.expect("it runs").expect("a free port").port();
    (db, format!("127.0.0.1:{port}"))
}

type Changes = Arc<Mutex<Vec<String>>>;

fn recorded(changes: &Changes) -> Vec<String> {
    changes.lock().expect("not poisoned").clone()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TIMEOUT, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A hook that records the changes it gets.
struct Alarm(Changes);

impl Service for Alarm {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        context.name(".alarm")
    }

    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        let (tag, name, change) = message.unpack::<(&str, &str, &str)>().expect("a change");
        assert_eq!(tag, "node");
        self.0
            .lock()
            .expect("not poisoned")
            .push(format!("{name} {change}"));
        Answer::none()
    }
}

async fn call<T>(caller: &Caller, command: (&str, &str)) -> Result<T, Error>
where
    T: for<'a> skyring::seri::Unpack<'a>,
{
    caller.call(".monitor", &command).await?.unpack()
}

#[test]
fn a_change_reaches_the_hook_the_closure_and_the_commands() {
    let (db, address) = database();
    let gate = node(ClusterMap::new().with("db", &address).expect("a valid entry"));
    let (hooked, called) = (Changes::default(), Changes::default());
    let clones = (Arc::clone(&hooked), Arc::clone(&called));
    let launched = gate.block_on(move |caller| async move {
        let (hooked, called) = clones;
        caller.launch(move |_| Alarm(hooked)).await?;
        caller
            .launch(move |context| {
                context.name(".monitor").expect("the name is free");
                NodeMonitor::new([])
                    .hook(".alarm")
                    .on_change(move |change: &Change| {
                        let line = format!("{} {}", change.name, change.change);
                        called.lock().expect("not poisoned").push(line);
                    })
            })
            .await
    });
    launched.expect("it runs").expect("they launch");
    // Without names it watches all nodes of the map.
    wait_until("the database is up", || recorded(&hooked) == ["db up"]);
    drop(db);
    wait_until("the database is down", || {
        recorded(&hooked).last().is_some_and(|last| last == "db down")
    });
    assert_eq!(recorded(&hooked), recorded(&called));
    let (state, history, unknown) = gate
        .block_on(|caller| async move {
            let state = call::<(String, String, u64)>(&caller, ("state", "db")).await;
            let history = caller.call(".monitor", &("HISTORY", "db")).await;
            let unknown = caller.call(".monitor", &("FLY", "db")).await;
            (state, history.and_then(|reply| reply.values()), unknown)
        })
        .expect("it runs");
    let (state, cause, time_ms) = state.expect("an answer");
    assert_eq!(state, "down");
    assert!(
        !cause.is_empty() && time_ms > 1_600_000_000_000,
        "{cause} {time_ms}"
    );
    let history = format!("{:?}", history.expect("an answer"));
    assert!(
        history.contains(" up: ") && history.contains(" down: "),
        "{history}"
    );
    let unknown = unknown.expect_err("no such command").to_string();
    assert!(unknown.contains("unknown command FLY"), "{unknown}");
}

#[test]
fn names_can_be_added_and_removed_and_a_group_shows_its_member() {
    let ((first, first_address), (_second, second_address)) = (database(), database());
    let text = format!(
        "db1 = \"{first_address}\" db2 = \"{second_address}\" __groups = {{ db = {{ \"db1\", \"db2\" }} }}"
    );
    let gate = node(ClusterMap::parse(&text, "map.lua").expect("a valid map"));
    let launched = gate.block_on(|caller| async move {
        let monitor = caller.launch_kind("monitor", "db1").await?;
        caller.cluster().register("monitor", Some(monitor))?;
        let names = |reply: skyring::Payload| format!("{:?}", reply.values());
        let before = names(caller.call("@monitor", "LIST").await?);
        caller.call("@monitor", &("WATCH", "db")).await?;
        let with_group = names(caller.call("@monitor", "LIST").await?);
        let forgot: bool = caller.call("@monitor", &("FORGET", "db1")).await?.unpack()?;
        let again: bool = caller.call("@monitor", &("FORGET", "db1")).await?.unpack()?;
        Ok::<_, Error>((before, with_group, forgot, again))
    });
    let (before, with_group, forgot, again) = launched.expect("it runs").expect("answers");
    assert!(before.contains("db1") && !with_group.is_empty() && before != with_group);
    assert!(forgot && !again);
    let state = || {
        let state = gate.block_on(|caller| async move {
            let reply = caller.call("@monitor", &("STATE", "db")).await?;
            reply.unpack::<String>()
        });
        state.expect("it runs").expect("an answer")
    };
    drop(first);
    wait_until("the group has switched", || state() == "switched to db2");
}

#[test]
fn an_invalid_argument_is_an_error() {
    let gate = node(ClusterMap::new());
    let launched = gate.block_on(|caller| async move { caller.launch_kind("monitor", "db hoook=.x").await });
    let error = launched
        .expect("it runs")
        .expect_err("an invalid argument")
        .to_string();
    assert!(
        error.contains("hook=ADDRESS") && error.contains("hoook=.x"),
        "{error}"
    );
}
