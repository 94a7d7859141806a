//! Sessions, which acceptors keep for diallers that reconnect, and a record of each: a dialler may lose calls of a
//! session only for a recorded reason.

use std::collections::BTreeMap;

use skyring_codec::link::{CalleeLimits, Dialect, SESSION_KEPT_MS_MAX};
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use super::ledger::Process;
use super::network::Side;
use super::world::World;

/// The secret that names a session.
pub(super) type Secret = [u8; NONCE_BYTES];

/// The record of a session.
#[derive(Debug, Clone, Copy)]
struct SessionRecord {
    process: Process,
    /// Its acceptor was allowed to drop it.
    may_be_dropped: bool,
}

/// The records of all sessions of the run.
#[derive(Debug, Default)]
pub(super) struct SessionRecords {
    session_records: BTreeMap<Secret, SessionRecord>,
}

impl SessionRecords {
    /// A session begins.
    fn begin(&mut self, secret: Secret, process: Process) {
        let may_be_dropped = false;
        self.session_records.insert(
            secret,
            SessionRecord {
                process,
                may_be_dropped,
            },
        );
    }

    /// Its acceptor may drop it.
    fn drop(&mut self, secret: Option<Secret>) {
        if let Some(record) = secret.and_then(|secret| self.session_records.get_mut(&secret)) {
            record.may_be_dropped = true;
        }
    }

    /// Whether a process has a reason not to resume a session.
    pub(super) fn may_lose(&self, secret: &Secret, process: Process) -> bool {
        let record = self.session_records.get(secret);
        record.is_some_and(|record| record.may_be_dropped || record.process != process)
    }

    /// The process that began a session.
    pub(super) fn process(&self, secret: &Secret) -> Option<Process> {
        self.session_records.get(secret).map(|record| record.process)
    }
}

impl World {
    /// Answers the hello of a dialler. Returns the acceptor that has the connection then.
    pub(super) fn answer_hello(&mut self, id: usize, hello: &Hello) -> usize {
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
            && let Some(holder) = self.resume_session(id, process, session, &answer)
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
            self.session_records.begin(secret, process);
        }
        id
    }

    /// Resumes a session, if possible. Returns the acceptor that holds it.
    fn resume_session(
        &mut self,
        id: usize,
        process: Process,
        secret: Secret,
        answer: &Hello,
    ) -> Option<usize> {
        let holder = self.acceptors.iter().position(|acceptor| {
            let own = acceptor.as_ref().filter(|acceptor| acceptor.process == process);
            own.is_some_and(|acceptor| acceptor.link.session_secret() == Some(secret))
        });
        let Some(holder) = holder else {
            if self.session_records.process(&secret).is_none() {
                self.ledger
                    .fail(|| format!("acceptor {id}: a session that never existed"));
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
                self.session_records.drop(Some(secret));
            }
            // The session stays: this hello may have been delayed while a newer one resumed the session.
            self.note(|_| format!("acceptor {holder} cannot resume its session"));
            return None;
        }
        let greeted = self.acceptors[id].take()?;
        let old = self.acceptors[holder].as_mut()?;
        let connection_before = old.connection;
        let resumed = old.link.resume(greeted.link, answer);
        old.connection = greeted.connection;
        old.forget_schedule();
        self.ledger.counts.sessions_resumed += 1;
        self.note(|_| format!("acceptor {holder} resumes its session in place of acceptor {id}"));
        if let Err(error) = resumed {
            self.ledger
                .fail(|| format!("acceptor {holder} does not resume its session: {error}"));
        }
        if let Some(connection) = greeted.connection {
            self.network.set_acceptor(connection, holder);
        }
        if let Some(connection) = connection_before {
            self.ledger.counts.sessions_taken_over += 1;
            self.close_side(connection, Side::Acceptor);
        }
        Some(holder)
    }

    /// Drops a session without a connection after its time.
    pub(super) fn drop_session_if_old(&mut self, id: usize) {
        let Some(acceptor) = &self.acceptors[id] else {
            return;
        };
        let kept_until = acceptor.detached_since + SESSION_KEPT_MS_MAX;
        if acceptor.connection.is_none() && kept_until <= self.clock.now() {
            self.drop_session(id);
        }
    }

    /// Drops a session that has no connection, or else the answers that it retains.
    pub(super) fn drop_session(&mut self, id: usize) {
        let Some(acceptor) = &mut self.acceptors[id] else {
            return;
        };
        self.ledger.counts.sessions_dropped += 1;
        if acceptor.connection.is_some() {
            acceptor.is_trimmed = true;
            acceptor.link.trim_retained(0);
            return self.note(|_| format!("acceptor {id} drops the answers that it retains"));
        }
        self.session_records.drop(acceptor.link.session_secret());
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
