//! The services of a node's config: launched one after the other, or as the children of the node's supervisor, if any of
//! them is started again after its end or the config says how.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Escalation, Restart, ServiceConfig, SupervisionConfig};
use crate::error::Error;
use crate::service::caller::Caller;
use crate::service::supervisor::Supervisor;
use crate::service::supervisor::backoff::Backoff;
use crate::service::supervisor::child::Child;

/// The name of the node's supervisor.
const SUPERVISOR: &str = "services";

/// The services of a config, and how they are supervised.
pub(super) struct Services {
    pub(super) services: BTreeMap<String, ServiceConfig>,
    pub(super) supervision: Option<SupervisionConfig>,
}

impl Services {
    /// Launches the services in the order of their names. An error comes with its key of the config.
    pub(super) async fn launch(self, caller: &Caller) -> Result<(), (String, Error)> {
        let is_supervised = |service: &ServiceConfig| service.restart.restart != Restart::Never;
        if self.supervision.is_none() && !self.services.values().any(is_supervised) {
            return self.launch_unsupervised(caller).await;
        }
        let supervision = self.supervision.unwrap_or_default();
        let period = Duration::from_millis(u64::from(supervision.period_ms));
        let mut supervisor = Supervisor::new(SUPERVISOR, supervision.strategy)
            .intensity(supervision.restarts_max as usize, period);
        if supervision.escalation == Escalation::Stop {
            supervisor = supervisor.escalates_to_node();
        }
        let stop_timeout_ms = caller.shard.node.settings.stop_timeout_ms;
        for (name, service) in &self.services {
            supervisor = supervisor.child(child(name, service, stop_timeout_ms));
        }
        let supervised = caller.supervise(supervisor).await;
        supervised.map(|_| ()).map_err(|error| {
            // The supervisor names the child.
            let text = error.to_string();
            match text.split_once(": ") {
                Some((name, why)) if self.services.contains_key(name) => {
                    (format!("services.{name}"), Error::remote(why))
                }
                _ => ("services".to_owned(), error),
            }
        })
    }

    async fn launch_unsupervised(self, caller: &Caller) -> Result<(), (String, Error)> {
        for (name, service) in self.services {
            let key = format!("services.{name}");
            let ServiceConfig { kind, arguments, .. } = &service;
            let handle = match service.keyed {
                true => caller.launch_kind_keyed(kind, arguments).await,
                false => caller.launch_kind(kind, arguments).await,
            };
            let handle = handle.map_err(|error| (key.clone(), error))?;
            caller
                .cluster()
                .register(&name, Some(handle))
                .map_err(|error| (key, error))?;
        }
        Ok(())
    }
}

/// A service as a child of the node's supervisor.
fn child(name: &str, service: &ServiceConfig, stop_timeout_ms: u64) -> Child {
    let restart = service.restart;
    let milliseconds = |ms: u32| Duration::from_millis(u64::from(ms));
    let stop_timeout_ms = restart.stop_timeout_ms.map_or(stop_timeout_ms, u64::from);
    let child = Child::kind(name, &service.kind, &service.arguments)
        .name(&format!("@{name}"))
        .restart(restart.restart)
        .backoff(Backoff::new(
            milliseconds(restart.delay_ms),
            milliseconds(restart.delay_ms_max),
        ))
        .stop_timeout(Duration::from_millis(stop_timeout_ms));
    if service.keyed { child.keyed() } else { child }
}
