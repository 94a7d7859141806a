//! A keyed service has one instance on each shard, and a key always reaches the same one: from any caller, over any
//! number of channels, by its name or by its handle.

use skyring::config::NodeConfig;
use skyring::placement::shard_of_key;
use skyring::{
    Answer, Caller, ClusterMap, Context, DialectChoice, Error, Handle, Kinds, Message, Node, NodeBuilder,
    OpenOptions, Service,
};

use crate::cluster::{map_of, reload};
use crate::handler::{Handler, launch};
use crate::node::{run, wait_until};
use crate::start::{builder, start};

/// Shards of the node with the keyed service.
const SHARDS: usize = 4;

/// Keys that are tried: small ones, and some that need all 64 bits.
fn keys() -> Vec<u64> {
    (0..12).chain([1 << 32, u64::MAX, u64::MAX - 1]).collect()
}

/// Answers with its shard.
fn where_am_i(caller: &Caller, _message: Message) -> Answer {
    Answer::now(&caller.shard_index())
}

type WhereAmI = Handler<fn(&Caller, Message) -> Answer>;

async fn launch_keyed(caller: &Caller) -> Handle {
    let launched = caller.launch_keyed(|_| -> WhereAmI { Handler(where_am_i) }).await;
    launched.expect("it launches on every shard")
}

/// A node whose keyed service `@where` and `.where` answers with its shard; its address and the handle.
fn serve(channels: Option<u32>) -> (Node, String, Handle) {
    let node = start(SHARDS);
    let (address, handle) = run(&node, move |caller: Caller| async move {
        let handle = launch_keyed(&caller).await;
        caller.cluster().register("where", Some(handle)).expect("free");
        caller.name_service(".where", handle).expect("free");
        let options = OpenOptions {
            channels,
            ..OpenOptions::default()
        };
        let address = caller.cluster().open_with(0, options).await.expect("open");
        (format!("127.0.0.1:{}", address.port()), handle)
    });
    (node, address, handle)
}

/// The shards that the keys reach when a service of this node calls.
async fn shards_of_keys(caller: &Caller, handle: Handle) -> Result<Vec<usize>, Error> {
    let mut shards = Vec::new();
    for key in keys() {
        let db = caller.node("db").key(key);
        let shard: usize = db.call("@where", &()).await?.unpack()?;
        let by_handle: usize = db.call(handle, &()).await?.unpack()?;
        assert_eq!(by_handle, shard, "key {key} by the handle");
        shards.push(shard);
    }
    Ok(shards)
}

fn expected() -> Vec<usize> {
    keys().into_iter().map(|key| shard_of_key(key, SHARDS)).collect()
}

#[test]
fn a_key_reaches_the_same_instance_from_every_caller_over_any_number_of_channels() {
    for channels in [1, 2, 3, 4, 6, 8] {
        let (_db, address, handle) = serve(Some(channels));
        let gate = start(3);
        reload(&gate, map_of("db", &address));
        // Callers on several shards, since handles in sequence are spread.
        for _ in 0..4 {
            let shards = run(&gate, move |caller: Caller| async move {
                shards_of_keys(&caller, handle).await
            });
            assert_eq!(shards, Ok(expected()), "{channels} channels");
        }
        let client = gate.client();
        for (key, shard) in keys().into_iter().zip(expected()) {
            let reply = client.node("db").key(key).call("@where", &()).wait();
            assert_eq!(reply.and_then(|reply| reply.unpack::<usize>()), Ok(shard));
        }
    }
}

#[test]
fn callers_of_the_same_node_reach_the_instance_of_their_key_too() {
    let (db, address, handle) = serve(None);
    reload(&db, map_of("db", &address));
    for _ in 0..4 {
        let shards = run(&db, move |caller: Caller| async move {
            let mut shards = Vec::new();
            for key in keys() {
                let keyed = caller.key(key);
                let by_name: usize = keyed.call("@where", &()).await?.unpack()?;
                let by_local_name: usize = keyed.call(".where", &()).await?.unpack()?;
                let by_handle: usize = keyed.call(handle, &()).await?.unpack()?;
                let over_tcp: usize = keyed.node("db").call(".where", &()).await?.unpack()?;
                assert_eq!((by_local_name, by_handle, over_tcp), (by_name, by_name, by_name));
                shards.push(by_name);
            }
            Ok::<_, Error>(shards)
        });
        assert_eq!(shards, Ok(expected()));
    }
    let client = db.client();
    for (key, shard) in keys().into_iter().zip(expected()) {
        let reply = client.key(key).call("@where", &()).wait();
        assert_eq!(reply.and_then(|reply| reply.unpack::<usize>()), Ok(shard));
    }
}

#[test]
fn without_a_key_the_handle_of_the_caller_is_the_key() {
    let (db, address, _) = serve(Some(3));
    reload(&db, map_of("db", &address));
    for _ in 0..4 {
        let (handle, here, there) = run(&db, |caller: Caller| async move {
            let here = caller.call("@where", &()).await.expect("an answer");
            let there = caller.node("db").call("@where", &()).await.expect("an answer");
            (caller.handle(), here.unpack::<usize>(), there.unpack::<usize>())
        });
        let shard = shard_of_key(u64::from(handle.0), SHARDS);
        assert_eq!((here, there), (Ok(shard), Ok(shard)));
    }
}

#[test]
fn a_peer_that_speaks_the_skynet_dialect_reaches_the_first_instance() {
    let (_db, address, handle) = serve(Some(4));
    let gate = builder(2)
        .dialect(DialectChoice::Skynet)
        .start()
        .expect("a node starts");
    reload(&gate, map_of("db", &address));
    let (shards, queried) = run(&gate, move |caller: Caller| async move {
        let queried = caller.cluster().query("db", "where").await;
        (shards_of_keys(&caller, handle).await, queried)
    });
    assert_eq!(shards, Ok(vec![0; keys().len()]));
    assert_eq!(queried, Ok(handle));
}

/// A service on each shard that calls `@where` of `db` with keys of its own shard, and with no others.
struct Driver;

impl Service for Driver {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        let caller = Caller::clone(context);
        Answer::later(async move {
            for round in 0..50u64 {
                let key = round * SHARDS as u64 + caller.shard_index() as u64;
                let reply = caller.node("db").key(key).call("@where", &()).await?;
                assert_eq!(reply.unpack::<usize>(), Ok(caller.shard_index()));
            }
            skyring::Payload::pack(&caller.shard_index())
        })
    }
}

#[test]
fn with_as_many_channels_as_shards_a_keyed_call_crosses_no_shard_at_either_end() {
    let (db, address, _) = serve(Some(SHARDS as u32));
    let gate = start(SHARDS);
    reload(&gate, map_of("db", &address));
    // Launching crosses shards, so only later messages are counted.
    let served = db.metrics().messages_crossed.get();
    let drivers = run(&gate, |caller: Caller| async move {
        caller.launch_keyed(|_| Driver).await.expect("it launches")
    });
    let launched = gate.metrics().messages_crossed.get();
    // Each client call goes straight to the shard of its key.
    for shard in 0..SHARDS {
        let done = gate.client().key(shard as u64).call(drivers, &()).wait();
        assert_eq!(done.and_then(|done| done.unpack::<usize>()), Ok(shard));
    }
    assert_eq!(db.metrics().messages_crossed.get(), served, "at the callee");
    assert_eq!(gate.metrics().messages_crossed.get(), launched, "at the caller");
    assert_eq!(db.metrics().connections_accepted.get(), SHARDS as u64);
    // The counter works: with one channel for four shards, messages must cross.
    let (other, address, _) = serve(Some(1));
    reload(&gate, map_of("db", &address));
    let done = run(&gate, move |caller: Caller| async move {
        caller.key(1).call(drivers, &()).await
    });
    assert!(done.is_ok(), "{done:?}");
    let other_served = 2 * SHARDS as u64;
    wait_until("the calls that crossed are counted", || {
        other.metrics().messages_crossed.get() > other_served
            && gate.metrics().messages_crossed.get() > launched
    });
}

#[test]
fn no_instance_takes_the_keys_of_one_that_has_ended_and_the_last_one_frees_the_name() {
    let node = start(2);
    run(&node, |caller: Caller| async move {
        let handle = caller
            .launch_keyed(|_| {
                Handler(|caller: &Caller, _message: Message| {
                    caller.exit();
                    Answer::now(&caller.shard_index())
                })
            })
            .await
            .expect("it launches");
        caller.cluster().register("once", Some(handle)).expect("free");
        for key in [0u64, 1] {
            let reply = caller.key(key).call("@once", &()).await.expect("it answers");
            assert_eq!(reply.unpack::<u64>(), Ok(key));
            let error = caller.key(key).call(handle, &()).await.unwrap_err();
            assert_eq!(error.code(), "no-such-service", "{error}");
            assert_eq!(caller.find("@once").is_some(), key == 0);
        }
        let other = launch(&caller, where_am_i).await;
        caller
            .cluster()
            .register("once", Some(other))
            .expect("free again");
    });
}

#[test]
fn a_keyed_service_of_which_an_instance_does_not_start_leaves_nothing_behind() {
    /// Starts on the first shard only.
    struct First;
    impl Service for First {
        fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
            match context.shard_index() {
                0 => context.name("first"),
                _ => Err(Error::remote("not here")),
            }
        }
        fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
            Answer::now(&true)
        }
    }
    let node = start(2);
    run(&node, |caller: Caller| async move {
        let error = caller.launch_keyed(|_| First).await.unwrap_err();
        assert_eq!(error, Error::remote("not here"));
        while caller.find(".first").is_some() {
            caller.sleep(std::time::Duration::from_millis(1)).await;
        }
        caller.name("first").expect("the name is free again");
    });
}

#[test]
fn a_config_starts_keyed_services_with_one_word_before_their_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    let text = "thread = 3\nservices = { where = 'keyed where  a b', plain = 'where' }\nlogger = '/dev/null'";
    std::fs::write(&file, text).expect("written");
    let config = NodeConfig::load(&file).expect("a valid config");
    assert_eq!(config.services["where"].arguments, "a b");
    assert!(config.services["where"].keyed && !config.services["plain"].keyed);
    let kinds = Kinds::default().add("where", |_| -> Result<WhereAmI, Error> {
        Ok(Handler(where_am_i))
    });
    let node = NodeBuilder::from_config(config, Some(ClusterMap::new()))
        .kinds(kinds)
        .start()
        .expect("it starts");
    let client = node.client();
    for key in 0..6u64 {
        let shard = client.key(key).call("@where", &()).wait();
        assert_eq!(shard.and_then(|shard| shard.unpack::<u64>()), Ok(key % 3));
    }
    let plain = (0..6u64).map(|key| client.key(key).call("@plain", &()).wait());
    let plain: std::collections::BTreeSet<_> = plain
        .map(|reply| reply.and_then(|reply| reply.unpack::<u64>()).expect("an answer"))
        .collect();
    assert_eq!(plain.len(), 1);
}
