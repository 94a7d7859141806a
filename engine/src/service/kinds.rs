//! The kinds of services that a config can name.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::error::Error;
use crate::service::Service;
use crate::service::launch::launch_described;

/// Constructs a service of one kind on its shard.
pub(crate) type Factory = Arc<dyn Fn(&Rc<ShardCore>, Handle, &str) -> Result<(), Error> + Send + Sync>;

/// Checks the arguments of a service of one kind.
type Check = Arc<dyn Fn(&str) -> Result<(), Error> + Send + Sync>;

/// The kinds of services that a node can launch by name: `services = { sdb = "simpledb" }`.
///
/// The engine has none; a program adds its own.
#[derive(Clone, Default)]
pub struct Kinds {
    kinds: BTreeMap<String, Kind>,
    hosts: BTreeSet<String>,
}

/// How services of one kind are made, and their arguments checked.
#[derive(Clone)]
struct Kind {
    factory: Factory,
    check: Check,
}

impl Kinds {
    /// Adds a kind. `make` gets the arguments that follow the kind's name in the config.
    pub fn add<S, M>(mut self, name: &str, make: M) -> Kinds
    where
        S: Service,
        M: Fn(&str) -> Result<S, Error> + Send + Sync + 'static,
    {
        let (kind, make) = (name.to_owned(), Arc::new(make));
        let make_to_check = Arc::clone(&make);
        let factory: Factory = Arc::new(move |shard, handle, arguments| {
            let state = make(arguments)?;
            let what = format!("{kind} {arguments}");
            launch_described(shard, handle, what.trim_end().into(), move |_| state)
        });
        let check: Check = Arc::new(move |arguments: &str| make_to_check(arguments).map(drop));
        self.kinds.insert(name.to_owned(), Kind { factory, check });
        self
    }

    /// Checks the arguments of a kind, as far as a service of it does so before it starts: one is made, and dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such kind, or what its service says of the arguments.
    pub fn check(&self, kind: &str, arguments: &str) -> Result<(), Error> {
        (self.find(kind)?.check)(arguments)
    }

    /// Notes that the services of a kind host others, which the first argument names, such as a service in Lua: they are
    /// added up by that in the status of a node, and not by their kind.
    pub fn hosts(mut self, kind: &str) -> Kinds {
        self.hosts.insert(kind.to_owned());
        self
    }

    /// What a service without a name is called in the status of a node, by what it was launched as: its kind, what it hosts,
    /// or the name of its type without its path.
    pub(crate) fn label<'a>(&self, what: &'a str) -> &'a str {
        let mut words = what.split(' ');
        let kind = words.next().unwrap_or(what);
        if self.hosts.contains(kind)
            && let Some(hosted) = words.next()
        {
            return hosted;
        }
        let without_parameters = kind.split('<').next().unwrap_or(kind);
        without_parameters.rsplit("::").next().unwrap_or(kind)
    }

    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Result<Factory, Error> {
        self.find(name).map(|kind| Arc::clone(&kind.factory))
    }

    fn find(&self, name: &str) -> Result<&Kind, Error> {
        self.kinds.get(name).ok_or_else(|| {
            let available: Vec<&str> = self.names().collect();
            Error::invalid(format!(
                "there is no service kind \"{name}\"; this program has: {}",
                available.join(", ")
            ))
        })
    }
}
