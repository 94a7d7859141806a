//! TLS of an inbound connection: its shell, what the handshake tells, and what happens when it fails.

use std::rc::Rc;

use skyring_codec::link::{CalleeLink, ProtocolError};
use skyring_codec::native::{Hello, Unproved};

use crate::cluster::accepting::inbound::state::{Inbound, limits};
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::metrics::{Counter, Metrics};
use crate::tls::{Gate, Shell, ShellEvent, TlsFault, TlsReason};

impl Inbound {
    /// The shell of a connection that was just accepted; `None` without a certificate. An error was logged.
    pub(in crate::cluster) fn new_shell(&self, shard: &ShardCore) -> Result<Option<Box<Shell>>, ()> {
        let security = shard.node.settings.security.as_ref();
        let Some((security, tls)) = security.and_then(|security| Some((security, security.tls()?))) else {
            return Ok(None);
        };
        let gate = match security.allows_skynet(self.address().ip()) {
            true => Gate::TlsOrPlain,
            false => Gate::Tls,
        };
        match Shell::acceptor(&tls.identity(), gate) {
            Ok(shell) => Ok(Some(Box::new(shell))),
            Err(cause) => {
                shard.log(Handle::NONE, format!("no TLS with {}: {cause}", self.address()));
                Err(())
            }
        }
    }

    /// Handles what the last read has told about TLS.
    pub(super) fn handle_shell_events(&self, shard: &ShardCore) {
        while let Some(event) = self.connection.next_shell_event() {
            let metrics = &shard.node.metrics;
            match event {
                // Until now it was that of a connection without TLS, and has seen nothing.
                ShellEvent::Begun => {
                    if let Some(security) = &shard.node.settings.security {
                        let access = security.access(self.address().ip(), "");
                        *self.connection.link.borrow_mut() = CalleeLink::with_access(limits(), access);
                    }
                }
                ShellEvent::Plain => {}
                ShellEvent::Verified => metrics.tls_handshakes.add(1),
                ShellEvent::Resumed => metrics.tls_resumptions.add(1),
            }
        }
    }

    /// Checks that the peer's certificate is for the name in its hello. A hello without a name gets that of the
    /// certificate.
    pub(super) fn check_name(&self, hello: &mut Hello) -> Result<(), ProtocolError> {
        let Some(names) = self.connection.peer_names() else {
            return Ok(());
        };
        if hello.node.is_empty()
            && let Some(first) = names.first()
        {
            hello.node.clone_from(first);
        }
        match names.contains(&hello.node) {
            true => Ok(()),
            false => Err(self.connection.link.borrow_mut().deny_hello(Unproved::OtherName)),
        }
    }

    /// Counts and logs why the TLS connection has ended.
    pub(super) fn count_tls_fault(&self, shard: &Rc<ShardCore>, fault: &TlsFault) {
        counter(&shard.node.metrics, fault.reason).add(1);
        shard
            .cluster()
            .incidents
            .log(shard, Incident::Tls(fault.reason), || {
                format!("TLS with {} has failed: {fault}", self.address())
            });
    }
}

/// The counter of connections that ended for this reason.
fn counter(metrics: &Metrics, reason: TlsReason) -> &Counter {
    match reason {
        TlsReason::NoCertificate => &metrics.connections_certificate_missing,
        TlsReason::Expired => &metrics.connections_certificate_expired,
        TlsReason::NotYetValid => &metrics.connections_certificate_early,
        TlsReason::OtherCa => &metrics.connections_certificate_other_ca,
        TlsReason::OtherName => &metrics.connections_certificate_other_name,
        TlsReason::InvalidCertificate => &metrics.connections_certificate_invalid,
        TlsReason::Refused => &metrics.connections_tls_refused,
        TlsReason::TooLong => &metrics.connections_tls_too_long,
        TlsReason::Malformed => &metrics.connections_tls_malformed,
        TlsReason::NotTls => &metrics.connections_without_tls,
        TlsReason::Incompatible => &metrics.connections_tls_incompatible,
    }
}
