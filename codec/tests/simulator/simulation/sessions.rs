//! Sessions, as acceptors keep them for diallers that come back, and what has become of each: who loses calls
//! with a session must have a reason.

use std::collections::BTreeMap;

use skyring_codec::link::{CalleeLimits, Dialect, SESSION_KEPT_MS_MAX};
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use super::ledger::Process;
use super::network::Side;
use super::world::World;

/// What names a session.
pub(super) type Secret = [u8; NONCE_BYTES];

/// What has become of a session.
#[derive(Debug, Clone, Copy)]
struct Fate {
    process: Process,
    /// Its acceptor had leave to forget it.
    is_dropped: bool,
}

/// All sessions there have been.
#[derive(Debug, Default)]
pub(super) struct Fates {
    fates: BTreeMap<Secret, Fate>,
}

impl Fates {
    /// A session begins.
    fn begin(&mut self, secret: Secret, process: Process) {
        let is_dropped = false;
        self.fates.insert(secret, Fate { process, is_dropped });
    }

    /// Its acceptor may forget it.
    fn drop(&mut self, secret: Option<Secret>) {
        if let Some(fate) = secret.and_then(|secret| self.fates.get_mut(&secret)) {
            fate.is_dropped = true;
        }
    }

    /// Whether that process has a reason not to go on with a session.
    pub(super) fn is_excused(&self, secret: &Secret, process: Process) -> bool {
        let fate = self.fates.get(secret);
        fate.is_some_and(|fate| fate.is_dropped || fate.process != process)
    }

    /// The process that a session was begun with.
    pub(super) fn process(&self, secret: &Secret) -> Option<Process> {
        self.fates.get(secret).map(|fate| fate.process)
    }
}

impl World {
    /// A dialler says hello; gives the acceptor that goes on with the connection.
    pub(super) fn greet(&mut self, id: usize, hello: &Hello) -> usize {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return id;
        };
        let process = acceptor.process;
        if self.settings.nodes[process.node].dialect == Dialect::Skynet {
            acceptor.link.refuse_hello();
            return id;
        }
        let answer = self.nodes[process.node].hello(&mut self.random, hello.channel, hello.channels);
        if let Resumption::Session { session, .. } = hello.resume
            && let Some(holder) = self.go_on(id, process, session, &answer)
        {
            return holder;
        }
        let Some(acceptor) = &mut self.acceptors[id] else {
            return id;
        };
        if let Err(error) = acceptor.link.accept_hello(&answer) {
            self.ledger
                .fail(|| format!("acceptor {id} does not accept the hello: {error}"));
        } else if let Some(secret) = acceptor.link.session_secret() {
            self.fates.begin(secret, process);
        }
        id
    }

    /// Goes on with a session, if that can be; gives the acceptor that holds it.
    fn go_on(&mut self, id: usize, process: Process, secret: Secret, answer: &Hello) -> Option<usize> {
        let holder = self.acceptors.iter().position(|acceptor| {
            let own = acceptor.as_ref().filter(|acceptor| acceptor.process == process);
            own.is_some_and(|acceptor| acceptor.link.session_secret() == Some(secret))
        });
        let Some(holder) = holder else {
            if self.fates.process(&secret).is_none() {
                self.ledger
                    .fail(|| format!("acceptor {id}: a session that never was"));
            }
            return None;
        };
        let (Some(old), Some(greeted)) = (&self.acceptors[holder], &self.acceptors[id]) else {
            return None;
        };
        if !old.link.can_resume(&greeted.link) {
            let is_bounded =
                self.settings.callee_limits.retained_bytes_max < CalleeLimits::default().retained_bytes_max;
            if is_bounded || old.is_trimmed {
                self.fates.drop(Some(secret));
            }
            // It is left alone: the hello may be one that was held up while newer ones went on with the session.
            self.note(|_| format!("acceptor {holder} cannot go on with its session"));
            return None;
        }
        let greeted = self.acceptors[id].take()?;
        let old = self.acceptors[holder].as_mut()?;
        let connection_before = old.connection;
        let resumed = old.link.resume(greeted.link, answer);
        old.connection = greeted.connection;
        old.forget_schedule();
        self.ledger.counts.sessions_resumed += 1;
        self.note(|_| format!("acceptor {holder} goes on with its session in the place of acceptor {id}"));
        if let Err(error) = resumed {
            self.ledger
                .fail(|| format!("acceptor {holder} does not go on with its session: {error}"));
        }
        if let Some(connection) = greeted.connection {
            self.network.set_acceptor(connection, holder);
        }
        if let Some(connection) = connection_before {
            self.ledger.counts.sessions_taken += 1;
            self.close_side(connection, Side::Acceptor);
        }
        Some(holder)
    }

    /// A session without a connection has been kept for long enough.
    pub(super) fn forget_if_old(&mut self, id: usize) {
        let Some(acceptor) = &self.acceptors[id] else {
            return;
        };
        let kept_until = acceptor.detached_since + SESSION_KEPT_MS_MAX;
        if acceptor.connection.is_none() && kept_until <= self.clock.now() {
            self.forget(id);
        }
    }

    /// Drops a session that has no connection, or answers that are kept for one.
    pub(super) fn forget(&mut self, id: usize) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        self.ledger.counts.sessions_forgotten += 1;
        if acceptor.connection.is_some() {
            acceptor.is_trimmed = true;
            acceptor.link.trim_retained(0);
            return self.note(|_| format!("acceptor {id} lets go of the answers that it keeps"));
        }
        self.fates.drop(acceptor.link.session_secret());
        self.acceptors[id] = None;
        self.note(|_| format!("acceptor {id} drops its session"));
    }

    /// An acceptor that has a session.
    pub(super) fn any_session(&mut self) -> Option<usize> {
        let all = self.acceptors.iter().enumerate();
        let with_session = all.filter(|(_, acceptor)| {
            let acceptor = acceptor.as_ref();
            acceptor.is_some_and(|acceptor| acceptor.link.session_secret().is_some())
        });
        let ids: Vec<usize> = with_session.map(|(id, _)| id).collect();
        (!ids.is_empty()).then(|| self.random.pick(&ids))
    }
}
