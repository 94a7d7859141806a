//! A node without threads, for tests: its parts, and what brings it up.

use std::sync::Arc;

use super::{NodeBuilder, Services, bring_up};
use crate::cluster::ClusterShared;
use crate::config::ClusterMap;
use crate::core::injector::Injector;
use crate::core::jobs::Jobs;
use crate::core::node::NodeShared;
use crate::core::settings::Settings;
use crate::error::Error;
use crate::log::Logger;
use crate::service::caller::Caller;
use crate::shard::Parts;
use crate::shard::mesh::Mesh;

/// The limit of open files of a node that opens none.
const OPEN_FILES_MAX: u64 = 1 << 20;

impl NodeBuilder {
    /// How many shards the node has.
    pub(crate) fn shards(&self) -> usize {
        self.threads
    }

    /// The name that the node has been given.
    pub(crate) fn own_name(&self) -> &str {
        &self.settings.name
    }

    /// The parts of the node's shards, with `map` merged into its map, and what launches its services and opens it. The
    /// runtime, the log's destination and the sources of the map are the test's business.
    pub(crate) fn assemble(
        self,
        map: ClusterMap,
        injectors: Box<[Injector]>,
        logger: Logger,
    ) -> (Arc<Parts>, impl AsyncFnOnce(&Caller) -> Result<(), Error>) {
        let mut own_map = self.map;
        own_map.merge(map);
        let mesh = Arc::new(Mesh::new(injectors.len()));
        for notice in &self.notices {
            logger.log(0, notice);
        }
        // Nothing would take them.
        let settings = Settings {
            otlp: None,
            ..self.settings
        };
        let node = NodeShared::new(injectors, settings, logger, Jobs::inline(), OPEN_FILES_MAX);
        if let Some(on_failure) = self.on_failure {
            node.set_on_failure(on_failure);
        }
        let parts = Arc::new(Parts {
            node: Arc::new(node),
            mesh,
            cluster: ClusterShared::new(own_map),
            sockets: Arc::default(),
            kinds: self.kinds,
        });
        let services = Services {
            services: self.services,
            supervision: self.supervision,
        };
        let (start, open) = (self.start, self.open);
        let bring_up = async move |caller: &Caller| {
            let brought_up: Result<(), (String, Error)> = bring_up(caller, services, start, open).await;
            brought_up.map_err(|(what, error)| Error::invalid(format!("{what}: {error}")))
        };
        (parts, bring_up)
    }
}
