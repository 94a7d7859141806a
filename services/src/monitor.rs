//! Watches nodes and groups: logs each change of state, keeps a history, and notifies a service or a closure. It replaces
//! a hand-written loop of pings.
//!
//! A config starts it with the names to watch and, optionally, a hook, the service to notify:
//! `services = { monitor = "monitor db db_backup hook=.alarm" }`. Without names it watches every node and group of the
//! map at the time it starts. The hook gets each change as a send of `"node"`, the name, the change, the cause and the
//! time in milliseconds since 1970.
//!
//! Commands: `STATE name` answers the state, the cause and the time of the last change; `LIST` answers a table of
//! names and their states; `WATCH name` and `FORGET name` change what is watched; `HISTORY name` answers the last
//! changes, the oldest first. Case does not matter in the name of a command.
//!
//! The engine logs each change as well. The lines of this service come from its own handle and contain
//! `node NAME unreachable`, a text that operators can search for.

use std::collections::{BTreeMap, VecDeque};

use skyring::seri::{Table, Value};
use skyring::{Address, Answer, Context, Error, Kind, Message, NodeState, Payload, Service};

/// Most names that one monitor watches.
pub const WATCHED_MAX: usize = 1_024;

/// Most changes of one node that the history holds.
pub const HISTORY_MAX: usize = 32;

/// A change of the state of a node or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The node or group.
    pub name: String,
    /// `up`, `restarted`, `suspect`, `down` or `forgotten`; for a group `switched`.
    pub change: String,
    /// The cause; for a group, the member that now gets its messages.
    pub cause: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A closure that gets each change.
type OnChange = Box<dyn FnMut(&Change)>;

/// Watches nodes and groups: see the module documentation.
pub struct NodeMonitor {
    names: Vec<String>,
    hook: Option<Address>,
    closure: Option<OnChange>,
    watched: BTreeMap<String, VecDeque<Change>>,
}

impl NodeMonitor {
    /// A monitor of these nodes and groups. Without names it watches all nodes and groups of the map.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> NodeMonitor {
        NodeMonitor {
            names: names.into_iter().map(str::to_owned).collect(),
            hook: None,
            closure: None,
            watched: BTreeMap::new(),
        }
    }

    /// Sends each change to a service of this node.
    #[must_use]
    pub fn hook(mut self, service: impl Into<Address>) -> NodeMonitor {
        self.hook = Some(service.into());
        self
    }

    /// Calls a closure with each change, on the monitor's shard. The closure must not block.
    #[must_use]
    pub fn on_change(mut self, closure: impl FnMut(&Change) + 'static) -> NodeMonitor {
        self.closure = Some(Box::new(closure));
        self
    }

    /// Parses the arguments in a config: names, and `hook=ADDRESS`.
    pub(crate) fn from_arguments(arguments: &str) -> Result<NodeMonitor, Error> {
        let mut monitor = NodeMonitor::new([]);
        for token in arguments.split_whitespace() {
            match token.split_once('=') {
                Some(("hook", address)) if !address.is_empty() => {
                    monitor = monitor.hook(address);
                }
                Some(_) => {
                    return Err(Error::invalid(format!(
                        "monitor takes names of nodes and hook=ADDRESS, but got \"{token}\""
                    )));
                }
                None => monitor.names.push(token.to_owned()),
            }
        }
        Ok(monitor)
    }

    fn watch(&mut self, context: &Context<Self>, name: &str) -> Result<(), Error> {
        if self.watched.contains_key(name) {
            return Ok(());
        }
        if self.watched.len() >= WATCHED_MAX {
            return Err(Error::remote(format!(
                "the monitor already watches {WATCHED_MAX} nodes"
            )));
        }
        context.cluster().subscribe(name)?;
        self.watched.insert(name.to_owned(), VecDeque::new());
        Ok(())
    }

    /// Logs a change, adds it to the history, and notifies the hook and the closure.
    fn record(&mut self, context: &Context<Self>, message: &Message) {
        // Only the engine sends messages of this kind.
        let Ok((_, name, change, cause, time_ms)) = message.unpack::<(&str, &str, &str, &str, u64)>() else {
            return;
        };
        let Some(history) = self.watched.get_mut(name) else {
            return;
        };
        let change = Change {
            name: name.to_owned(),
            change: change.to_owned(),
            cause: cause.to_owned(),
            time_ms,
        };
        context.log(describe(&change));
        if history.len() == HISTORY_MAX {
            history.pop_front();
        }
        history.push_back(change.clone());
        if let Some(hook) = &self.hook
            && let Err(error) = context.send_payload(hook.clone(), message.payload.clone())
        {
            context.log(format!("cannot notify the hook {hook}: {error}"));
        }
        if let Some(closure) = &mut self.closure {
            closure(&change);
        }
    }

    fn run(&mut self, context: &Context<Self>, message: &Message) -> Result<Payload, Error> {
        let (command, name) = message.unpack::<(&str, Option<&str>)>()?;
        let required_name =
            || name.ok_or_else(|| Error::remote(format!("{command} requires the name of a node")));
        match command.to_ascii_uppercase().as_str() {
            "STATE" => {
                let name = required_name()?;
                let last = self.watched.get(name).and_then(VecDeque::back);
                let state = context.cluster().state(name);
                Payload::pack(&(
                    self.state_name(name, state),
                    last.map(|last| last.cause.as_str()),
                    last.map(|last| last.time_ms),
                ))
            }
            "LIST" => {
                let mut states = Table::default();
                for name in self.watched.keys() {
                    let state = self.state_name(name, context.cluster().state(name));
                    states
                        .entries
                        .push((Value::from(name.as_str()), Value::from(state)));
                }
                Payload::pack(&states)
            }
            "HISTORY" => {
                let history = self.watched.get(required_name()?);
                let changes = history.into_iter().flatten().map(|change| {
                    Value::from(format!("{} {}: {}", change.time_ms, change.change, change.cause))
                });
                Payload::pack(&changes.collect::<Vec<Value>>())
            }
            "WATCH" => {
                self.watch(context, required_name()?)?;
                Payload::pack(&true)
            }
            "FORGET" => {
                let name = required_name()?;
                context.cluster().unsubscribe(name);
                Payload::pack(&self.watched.remove(name).is_some())
            }
            _ => Err(Error::remote(format!(
                "unknown command {command}: STATE, LIST, HISTORY, WATCH and FORGET are known"
            ))),
        }
    }

    /// The state of a node; for a group that has switched, the member that gets its messages.
    fn state_name(&self, name: &str, state: NodeState) -> String {
        let last = self.watched.get(name).and_then(VecDeque::back);
        match last {
            Some(last) if last.change == "switched" => format!("switched to {}", last.cause),
            _ => state.name().to_owned(),
        }
    }
}

/// The text of a change for the log.
fn describe(change: &Change) -> String {
    let Change {
        name, change, cause, ..
    } = change;
    match change.as_str() {
        "down" => format!("node {name} unreachable! ({cause})"),
        "up" => format!("node {name} reached ({cause})"),
        "restarted" => format!("node {name} reached: it was restarted ({cause})"),
        "switched" => format!("group {name}: messages go to {cause}"),
        other => format!("node {name} {other} ({cause})"),
    }
}

impl Service for NodeMonitor {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let mut names = std::mem::take(&mut self.names);
        if names.is_empty() {
            let map = context.cluster().map();
            let groups = map.groups.iter().filter(|(_, group)| group.is_some());
            names = map
                .nodes
                .keys()
                .chain(groups.map(|(name, _)| name))
                .cloned()
                .collect();
        }
        names.iter().try_for_each(|name| self.watch(context, name))
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.kind == Kind::SYSTEM && !message.is_call() {
            self.record(context, &message);
            return Answer::none();
        }
        Answer::from(self.run(context, &message))
    }
}
