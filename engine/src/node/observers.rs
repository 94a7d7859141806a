//! What watches a node from its control thread until it has stopped: the admin server, and the export of spans.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::config::Admin;
use crate::control::Task;
use crate::error::Error;
use crate::node::error::StartError;
use crate::shard::Parts;

/// Opens the port of the admin server, so that one that is taken is an error of the start. `file`: the config's.
pub(super) fn listen_for_admin(
    admin: Option<Admin>,
    file: Option<&Path>,
) -> Result<Option<(Admin, TcpListener)>, StartError> {
    let Some(admin) = admin else { return Ok(None) };
    let address = admin.address();
    let listen = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listener = listen().map_err(|error| StartError::Service {
        what: match file {
            Some(file) => format!("{}: admin", file.display()),
            None => "admin".to_owned(),
        },
        error: Error::invalid(format!("cannot listen on {address}: {error}")),
    })?;
    Ok(Some((admin, listener)))
}

/// The export of the node's spans, if its settings say where to.
#[cfg(feature = "otlp")]
pub(super) fn export_of_spans(parts: &Parts) -> Option<Task> {
    use crate::control::otlp::{self, ExportParts};
    use std::sync::Arc;

    let node = Arc::clone(&parts.node);
    let collector = node.settings.otlp.clone()?;
    let (cluster, named) = (Arc::clone(&parts.cluster), Arc::clone(&node));
    Some(otlp::task(ExportParts {
        node,
        collector,
        find_name: Box::new(move || cluster.node_name(&named)),
    }))
}

/// None: in a build without the feature no settings say where to.
#[cfg(not(feature = "otlp"))]
pub(super) fn export_of_spans(_parts: &Parts) -> Option<Task> {
    None
}
