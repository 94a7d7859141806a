//! Watches of services of other nodes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::api::node_service::{ADDRESS, ANSWER_TIME, RUNS, UNKNOWN};
use crate::cluster::membership::detector::{NodeChange, NodeEvent};
use crate::cluster::membership::monitor::Monitor;
use crate::config::WhenDown;
use crate::core::handle::Address;
use crate::core::payload::Payload;
use crate::error::{Error, Text};
use crate::rt;
use crate::service::end::End;
use crate::service::node_ref::NodeRef;

/// How long the answer of a node that has just been called down may still take: a node that stops says so before.
const LAST_ANSWER_TIME: Duration = Duration::from_millis(100);

/// The pause before a question is asked again whose connection broke.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

impl NodeRef {
    /// Watches a service of that node: resolves once, with how it ended, or with [`End::NodeDown`] or
    /// [`End::NodeRestarted`] when the node is called down or was restarted. Broken connections that are resumed do not
    /// end it. It costs one call every 20 s.
    ///
    /// A name is looked up there when the watch begins; of a keyed service it is the instance of this value's key. The
    /// node is one node, not a group.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a node that has no such watches, as a Skynet node; [`Error::Overloaded`], there or here.
    pub async fn watch(&self, address: impl Into<Address>) -> Result<End, Error> {
        let address = address.into().to_string();
        let caller = self.caller();
        let mut monitor = caller.cluster().monitor(self.name())?;
        if let Some(event) = monitor.take()
            && event.change == NodeChange::Down
        {
            return Ok(End::NodeDown { cause: event.cause });
        }
        let number = rt::random_number() as i64;
        let mut is_new = true;
        loop {
            let question = (
                "WATCH",
                address.as_str(),
                self.key_number() as i64,
                number,
                is_new,
            );
            let call = self.call(ADDRESS, &question);
            let call = call.timeout(ANSWER_TIME * 2).when_down(WhenDown::Fail);
            let mut call = pin!(call);
            let answer = match first(&mut monitor, &mut call).await {
                First::Answer(answer) => answer,
                First::Down(event) => match caller.within(LAST_ANSWER_TIME, &mut call).await {
                    Ok(Ok(payload)) => Ok(payload),
                    _ => return Ok(End::NodeDown { cause: event.cause }),
                },
            };
            match answer {
                Ok(payload) => match payload.unpack::<(&str, &str)>()? {
                    (RUNS, _) => is_new = false,
                    (UNKNOWN, _) => {
                        let cause = Text::from("the watch was not renewed in time");
                        return Ok(End::NodeDown { cause });
                    }
                    _ => return End::from_payload(&payload),
                },
                // The node still has the lease, if it is the same process.
                Err(Error::ConnectionLost { .. }) => caller.sleep(RETRY_PAUSE).await,
                Err(error) => return self.end_of(error),
            }
        }
    }

    /// What an error of the call means for the watch.
    fn end_of(&self, error: Error) -> Result<End, Error> {
        match error {
            Error::Restarted { .. } => Ok(End::NodeRestarted),
            Error::ShuttingDown => Ok(End::NodeStopping),
            Error::NoSuchService { .. } => Err(Error::invalid(format!(
                "node {} has no watches: it is a Skynet node, or an older version",
                self.name()
            ))),
            Error::Unreachable { .. }
            | Error::Timeout { .. }
            | Error::Absent { .. }
            | Error::Disabled { .. } => Ok(End::NodeDown {
                cause: error.to_string().into(),
            }),
            other => Err(other),
        }
    }
}

enum First {
    Answer(Result<Payload, Error>),
    Down(NodeEvent),
}

/// The answer, or the event that the node is down, whichever comes first.
async fn first(
    monitor: &mut Monitor,
    call: &mut (impl Future<Output = Result<Payload, Error>> + Unpin),
) -> First {
    loop {
        let mut next = pin!(monitor.next());
        let either = poll_fn(|context| {
            if let Poll::Ready(answer) = pin!(&mut *call).poll(context) {
                return Poll::Ready(First::Answer(answer));
            }
            next.as_mut().poll(context).map(First::Down)
        });
        match either.await {
            First::Down(event) if event.change != NodeChange::Down => {}
            first => return first,
        }
    }
}
