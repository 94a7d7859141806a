//! The description of a child of a supervisor.

use std::rc::Rc;
use std::time::Duration;

use crate::config::Restart;
use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::Handle;
use crate::core::request::ReplyTo;
use crate::error::{Error, Text};
use crate::service::Service;
use crate::service::context::Context;
use crate::service::kinds::Kinds;
use crate::service::launch::{kind_work, launch_here};
use crate::service::supervisor::Supervisor;
use crate::service::supervisor::backoff::Backoff;
use crate::service::supervisor::policy::Rules;

/// Launches one life of a child on its shard. A supervisor answers once its children have started; the answer of any other
/// child is the result.
pub(super) type Work = Box<dyn FnOnce(&Rc<ShardCore>, Handle, ReplyTo) -> Result<(), Error> + Send>;

/// Makes the work for each life.
type Maker = Box<dyn Fn(&Kinds) -> Result<Work, Error> + Send>;

/// A child of a supervisor: how to start it, and when to start it again.
///
/// Unless it says otherwise, it is restarted after every end, with the delays of [`Backoff::default`], and has 5 s to
/// stop.
pub struct Child {
    pub(super) name: Text,
    pub(super) names: Vec<String>,
    pub(super) make: Maker,
    pub(super) is_keyed: bool,
    pub(super) is_supervisor: bool,
    restart: Restart,
    backoff: Backoff,
    stop_timeout_ms: u64,
}

impl Child {
    fn of(name: &str, make: Maker) -> Child {
        Child {
            name: name.into(),
            names: Vec::new(),
            make,
            is_keyed: false,
            is_supervisor: false,
            restart: Restart::Always,
            backoff: Backoff::default(),
            stop_timeout_ms: 5_000,
        }
    }

    /// A service that `make` constructs, anew for each life, on its shard. `name` is for logs and consoles.
    pub fn new<S, M>(name: &str, make: M) -> Child
    where
        S: Service,
        M: Fn(&Context<S>) -> S + Clone + Send + 'static,
    {
        let make = move |_: &Kinds| -> Result<Work, Error> {
            let make = make.clone();
            Ok(Box::new(move |shard: &Rc<ShardCore>, handle, _| {
                launch_here(shard, handle, make)
            }))
        };
        Child::of(name, Box::new(make))
    }

    /// A service by its kind's name and its arguments, as configs have it; also a service in Lua, of the kind `snlua`.
    pub fn kind(name: &str, kind: &str, arguments: &str) -> Child {
        let (kind, arguments) = (kind.to_owned(), arguments.to_owned());
        let make = move |kinds: &Kinds| -> Result<Work, Error> {
            let work = kind_work(kinds, &kind, &arguments)?;
            Ok(Box::new(move |shard: &Rc<ShardCore>, handle, _| {
                work(shard, handle)
            }))
        };
        Child::of(name, Box::new(make))
    }

    /// A supervisor with children of its own, described by `make` anew for each life. When it gives up it has failed, and
    /// so its own supervisor restarts it, or gives up in turn.
    pub fn supervisor<M>(name: &str, make: M) -> Child
    where
        M: Fn() -> Supervisor + Send + 'static,
    {
        let make = move |_: &Kinds| -> Result<Work, Error> {
            let supervisor = make();
            Ok(Box::new(move |shard: &Rc<ShardCore>, handle, started| {
                supervisor.launch(shard, handle, started)
            }))
        };
        Child {
            is_supervisor: true,
            ..Child::of(name, Box::new(make))
        }
    }

    /// Gives it a name: `.name` within the node or `@name` for the cluster. It keeps its names when it is restarted:
    /// meanwhile calls to them fail with `restarted`, and later ones reach its next life.
    #[must_use]
    pub fn name(mut self, name: &str) -> Child {
        self.names.push(name.to_owned());
        self
    }

    /// One instance on each shard, as [`Caller::launch_keyed`](crate::Caller::launch_keyed): each is restarted alone, on
    /// its shard and in its place.
    #[must_use]
    pub fn keyed(mut self) -> Child {
        self.is_keyed = true;
        self
    }

    /// When to start it again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Child {
        self.restart = restart;
        self
    }

    /// How long to wait before a restart.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Child {
        self.backoff = backoff;
        self
    }

    /// How long its stop may take, in whole milliseconds; then it is ended.
    #[must_use]
    pub fn stop_timeout(mut self, time: Duration) -> Child {
        self.stop_timeout_ms = whole_milliseconds(time);
        self
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            restart: self.restart,
            backoff: self.backoff,
            stop_timeout_ms: self.stop_timeout_ms,
        }
    }
}
