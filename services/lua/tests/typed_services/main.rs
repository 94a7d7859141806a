//! A typed service in Rust is called by programs in Lua, on its own node, on another one, and on a real Skynet node: the
//! same program runs on both. And a typed client calls a service in Lua.
//!
//! The test with Skynet takes it from the built checkout that the environment variable `SKYRING_TEST_SKYNET` names, which
//! it does not change; without one it says that it is skipped.

#[path = "../common/node.rs"]
mod node;
mod skynet;

use std::fmt;

use serde::{Deserialize, Serialize};
use skyring::log::Destination;
use skyring::typed::CallError;
use skyring::{Caller, Context, Error, Node};

use crate::node::run_to_end;

/// Sums numbers.
#[derive(Default)]
pub(crate) struct Counter {
    total: i64,
}

/// Where a report goes.
#[derive(Debug, Serialize, Deserialize)]
struct Recipient {
    name: String,
    copies: Option<u8>,
}

/// Why there is no report.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum ReportError {
    /// The recipient is unknown.
    Unknown { name: String },
}

impl fmt::Display for ReportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReportError::Unknown { name } = self;
        write!(formatter, "nobody is called {name}")
    }
}

#[skyring::service]
impl Counter {
    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }

    async fn report(context: &Context<Self>, to: Recipient) -> Result<(String, i64), ReportError> {
        match to.name.as_str() {
            "Ada" => Ok((to.name, context.update(|counter| counter.total))),
            _ => Err(ReportError::Unknown { name: to.name }),
        }
    }

    fn note(&self, text: &[u8], prefix: Option<&str>) -> Vec<u8> {
        [prefix.unwrap_or("").as_bytes(), text].concat()
    }

    #[send]
    fn reset(&mut self) {
        self.total = 0;
    }
}

/// What a program in Lua sees of the counter. `PORT` is that of its node.
const PROGRAM: &str = r#"
local cluster = require 'skynet.cluster'
cluster.reload { db = '127.0.0.1:PORT' }
assert(cluster.call('db', '@counter', 'add', 5) == 5)
assert(cluster.call('db', '@counter', 'add', 5.0) == 10)
local proxy = cluster.proxy('db', '@counter')
assert(skynet.call(proxy, 'lua', 'add', 1) == 11)
local name, total = cluster.call('db', '@counter', 'report', { name = 'Ada', copies = 2 })
assert(name == 'Ada' and total == 11)
assert(cluster.call('db', '@counter', 'note', '\xff\0') == '\xff\0')
assert(cluster.call('db', '@counter', 'note', 'text', 'a ') == 'a text')
assert(cluster.call('db', '@counter', 'note', 'text', nil, nil) == 'text')
local function fails(...)
    local ok, problem = pcall(cluster.call, 'db', '@counter', ...)
    assert(not ok)
    -- Skynet itself logs the text of the other side, and tells the caller only that the call has failed.
    skynet.error(problem)
end
fails('ad', 5)
fails('add', 'five')
fails('add')
fails('add', 1, 2)
fails('report', { copies = 1 })
fails('report', { name = 'Bob' })
local described = cluster.call('db', '@counter', 'skyring.describe')
assert(described.name == 'Counter' and described.methods[1].arguments[1].name == 'number')
cluster.send('db', '@counter', 'reset')
assert(cluster.call('db', '@counter', 'add', 1) == 1)
"#;

/// The errors that the program logs.
const ERRORS: [&str; 6] = [
    "unknown command ad: Counter has add, report, note, reset",
    "add(number: i64) -> i64: argument 1, number, should be an integer, but is a string",
    "add(number: i64) -> i64: 0 arguments came, and 1 is expected",
    "add(number: i64) -> i64: 2 arguments came, and 1 is expected",
    "missing field `name`",
    "nobody is called Bob",
];

fn has_all_errors(log: &str) {
    for error in ERRORS {
        assert!(log.contains(error), "{error} is not in:\n{log}");
    }
}

/// A node with `@counter`, and its port.
fn serving() -> (Node, u16) {
    let log = Destination::File("/dev/null".into());
    let node = Node::builder().log_to(log).start().expect("a node starts");
    let opened = node.block_on(|caller: Caller| async move {
        let counter = caller.launch(|_| Counter::default()).await?;
        caller.cluster().register("counter", Some(counter))?;
        caller.cluster().open(0, None).await
    });
    let port = opened.expect("the node runs").expect("a free port").port();
    (node, port)
}

#[test]
fn a_program_in_lua_calls_a_typed_service_of_another_node() {
    let (_node, port) = serving();
    let running = run_to_end(&PROGRAM.replace("PORT", &port.to_string()), &[], "");
    has_all_errors(&running.log());
}

#[test]
fn a_program_on_a_real_skynet_node_calls_a_typed_service() {
    let (_node, port) = serving();
    if let Some(log) = skynet::run_to_end(&PROGRAM.replace("PORT", &port.to_string())) {
        has_all_errors(&log);
    }
}

/// A counter in Lua.
const COUNTER: &str = r#"
local total = 0
local command = {}
function command.add(number) total = total + number return total end
function command.report(to) error('nobody is called ' .. to.name, 0) end
function command.note(text, prefix) return (prefix or '') .. text end
function command.reset() total = 0 end
skynet.start(function()
    skynet.dispatch('lua', function(session, _, name, ...)
        if session == 0 then command[name](...) else skynet.retpack(command[name](...)) end
    end)
end)"#;

#[test]
fn a_typed_client_calls_a_service_in_lua() {
    let main = "skynet.name('.counter', skynet.newservice 'counter')";
    let running = run_to_end(main, &[("counter", COUNTER)], "");
    let counter = CounterClient::at(running.node.client(), ".counter");
    assert_eq!(counter.add(2).wait(), Ok(2));
    assert_eq!(counter.add(3).wait(), Ok(5));
    counter.reset().expect("it is sent");
    assert_eq!(counter.add(1).wait(), Ok(1));
    assert_eq!(counter.note(b"text", Some("a ")).wait(), Ok(b"a text".to_vec()));
    let to = Recipient {
        name: "Bob".to_owned(),
        copies: None,
    };
    // Of an error in Lua there is only the text.
    let error = counter.report(to).wait();
    assert!(
        matches!(&error, Err(CallError::Call(Error::Remote { text, .. })) if text.contains("nobody is called Bob")),
        "{error:?}"
    );
}
