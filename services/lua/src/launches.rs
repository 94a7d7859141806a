//! The services that were launched by `skynet.newservice` or the launcher, and who waits until each has started.
//!
//! The shard on which a service starts, fails or ends answers its launch itself: the launcher, which may be on another
//! shard that sleeps, only lists these services.
//!
//! Invariants: a launch is answered exactly once; a service is in the list from its launch to its end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skyring::{Error, Handle, Kind, Payload};

use crate::arguments;
use crate::host::Host;

/// The kind of services in Lua.
pub(crate) const LUA_KIND: &str = "snlua";

/// The name of the launcher.
const LAUNCHER: &str = ".launcher";

/// The launched services of a node.
#[derive(Default)]
pub(crate) struct Launches {
    services: Mutex<BTreeMap<u32, Launched>>,
    /// The handle of the built-in launcher; 0: none.
    launcher: AtomicU32,
}

struct Launched {
    /// Its kind and its arguments.
    what: Box<[u8]>,
    /// Who waits for its start.
    starting: Option<Starting>,
}

/// Who waits for the start of a service.
#[derive(Clone, Copy)]
pub(crate) struct Starting {
    /// The service that gets the answer, and the session of the answer.
    pub(crate) asker: Handle,
    pub(crate) session: u32,
    /// The session of the request that the launcher handles; 0: none.
    pub(crate) request: u32,
}

/// How the start of a service ended.
pub(crate) enum Outcome<'a> {
    Started,
    /// It did not start, for this reason.
    Failed(&'a str),
    /// It has ended itself. Its launch is answered with nil.
    Exited,
    Killed,
    /// It is not there any more, for another reason.
    Lost,
}

impl Launches {
    fn services(&self) -> MutexGuard<'_, BTreeMap<u32, Launched>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A launcher that uses this list serves the node.
    pub(crate) fn set_launcher(&self, handle: Handle) {
        self.launcher.store(handle.0, Ordering::Relaxed);
    }

    /// The launched service after this one, with its kind and arguments.
    pub(crate) fn next(&self, after: u32) -> Option<(u32, Box<[u8]>)> {
        let services = self.services();
        let (handle, launched) = services
            .range((Bound::Excluded(after), Bound::Unbounded))
            .next()?;
        Some((*handle, launched.what.clone()))
    }

    /// Kind and arguments of a launched service.
    pub(crate) fn what(&self, handle: u32) -> Option<Box<[u8]>> {
        self.services().get(&handle).map(|launched| launched.what.clone())
    }

    /// The service that is starting for a request that the launcher handles.
    pub(crate) fn find(&self, request: u32) -> Option<u32> {
        let is_of_request = |launched: &Launched| {
            launched
                .starting
                .is_some_and(|starting| starting.request == request)
        };
        let services = self.services();
        let found = services.iter().find(|(_, launched)| is_of_request(launched));
        found.map(|(handle, _)| *handle)
    }

    /// Answers the launch of a service, if it is not answered yet; a service that has not started leaves the list.
    /// `true`: it was answered.
    pub(crate) fn finish(&self, host: &Host, handle: Handle, outcome: &Outcome<'_>) -> bool {
        let mut services = self.services();
        let Entry::Occupied(mut entry) = services.entry(handle.0) else {
            return false;
        };
        let (what, starting) = match outcome {
            Outcome::Started => (Box::default(), entry.get_mut().starting.take()),
            _ => {
                let launched = entry.remove();
                (launched.what, launched.starting)
            }
        };
        drop(services);
        let Some(starting) = starting else {
            return false;
        };
        let what = String::from_utf8_lossy(&what);
        let result = match outcome {
            Outcome::Started => Payload::pack(&i64::from(handle.0)),
            Outcome::Exited => Payload::pack(&None::<i64>),
            Outcome::Failed(why) => Err(Error::remote(format!("{what} did not start: {why}"))),
            Outcome::Killed => Err(Error::remote("the service was killed before it had started")),
            Outcome::Lost => Err(Error::remote(format!("{what} ended before it had started"))),
        };
        host.caller.answer_post(starting.asker, starting.session, result);
        true
    }
}

/// Whether the launcher of the node is one that uses this list.
pub(crate) fn is_listed(host: &Host) -> bool {
    let launcher = host.node.launches.launcher.load(Ordering::Relaxed);
    host.resolve(LAUNCHER).is_some_and(|handle| handle.0 == launcher)
}

/// Launches a service, whose start is answered to `starting`.
///
/// # Errors
/// No kind of service has this name.
pub(crate) fn launch(
    host: &Host,
    kind: &str,
    arguments: &[u8],
    starting: Starting,
) -> Result<Handle, String> {
    let handle = begin(host, kind, arguments).ok_or_else(|| format!("unknown kind of service \"{kind}\""))?;
    let is_lua = kind == LUA_KIND;
    let launched = Launched {
        what: [kind.as_bytes(), b" ", arguments].concat().into(),
        starting: Some(starting),
    };
    // The work for another shard is handed over at the end of this turn, so the service has not answered yet.
    host.node.launches.services().insert(handle.0, launched);
    let outcome = match is_lua {
        true if host.caller.may_exist(handle) => return Ok(handle),
        // Starting it on this shard has failed.
        true => Outcome::Lost,
        // Services in Rust report nothing.
        false => Outcome::Started,
    };
    host.node.launches.finish(host, handle, &outcome);
    Ok(handle)
}

/// Begins to launch a service. `None`: no kind has this name, which is logged.
pub(crate) fn begin(host: &Host, kind: &str, arguments: &[u8]) -> Option<Handle> {
    match host.caller.begin_launch_kind(kind, &arguments::encode(arguments)) {
        Ok(handle) => {
            // Known at once, although another shard starts it: LOGON may be the next command.
            if kind == LUA_KIND {
                host.node.message_logs.add_service(handle);
            }
            Some(handle)
        }
        Err(error) => {
            host.caller.log(error);
            None
        }
    }
}

/// Answers the launch of this service, which has started, or has not for the given reason.
pub(crate) fn report_start(host: &Host, problem: Option<&str>) {
    let outcome = problem.map_or(Outcome::Started, Outcome::Failed);
    if host.node.launches.finish(host, host.caller.handle(), &outcome) || is_listed(host) {
        return;
    }
    // The user's own launcher.
    let report = match problem {
        None => Payload::pack("LAUNCHOK"),
        Some(problem) => Payload::pack(&("ERROR", problem)),
    };
    if let (Some(launcher), Ok(report)) = (host.resolve(LAUNCHER), report) {
        host.caller.post(launcher, Kind::LUA, 0, report);
    }
}

/// Answers the launch of this service, whose file cannot be run.
pub(crate) fn report_file_failure(host: &Host) {
    let outcome = Outcome::Failed("its file failed, see the log");
    if host.node.launches.finish(host, host.caller.handle(), &outcome) || is_listed(host) {
        return;
    }
    if let Some(launcher) = host.resolve(LAUNCHER) {
        let text = Payload(bytes::Bytes::from_static(b"ERROR"));
        host.caller.post(launcher, Kind::TEXT, 0, text);
    }
}
