//! Certificates of services: that of the node, and files that are read again.

use crate::service::caller::Caller;
use crate::tls::{ServerTls, TlsFiles};

impl Caller {
    /// The files of the node's certificate, if it has one.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let security = self.shard.node.settings.security.as_ref()?;
        Some(security.tls()?.files().clone())
    }

    /// Has the files of a certificate looked at, and read again when they have changed and stayed the same since the last
    /// look. What became of it is logged and counted. It does not wait: the job thread does it. A service calls this at
    /// intervals.
    pub fn refresh_certificate(&self, tls: &ServerTls) {
        let (node, tls, handle) = (self.node_log(), tls.clone(), self.handle);
        let look = move || {
            let file = tls.files().certificate.display().to_string();
            let metrics = &node.0.metrics;
            match tls.look() {
                None | Some(Ok(false)) => {}
                Some(Ok(true)) => {
                    metrics.tls_reloads.add(1);
                    let names = tls.names().join(", ");
                    node.log(
                        handle,
                        format!("{file}: the certificate was read again, and is in force: it is for {names}"),
                    );
                    for warning in tls.warnings() {
                        node.log(handle, warning);
                    }
                }
                Some(Err(error)) => {
                    metrics.tls_reloads_refused.add(1);
                    let why = format!("{}: {}", error.file.display(), error.text);
                    node.log(
                        handle,
                        format!(
                            "{file}: the certificate stays as it is, because the files cannot be used: {why}"
                        ),
                    );
                }
            }
        };
        // When the queue is full, a later look sees the change.
        let _ = self.shard.node.jobs.submit(Box::new(look));
    }
}
