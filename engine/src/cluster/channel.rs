//! A channel to a peer, from the dialling side: the calls that this node makes there.
//!
//! One task per channel connects when there is something to send, reads replies until the connection
//! breaks, and connects again, with growing pauses, as long as anybody waits. There is one connect under
//! way at a time. What was not sent waits for the next connection in its order; what was sent and not
//! answered fails when the connection breaks.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;
use skyring_codec::link::{
    CallerEvent, CallerLimits, CallerLink, CallerRequest, HANDSHAKE_MS_MAX, LinkError,
};
use skyring_codec::native::{CHANNELS_MAX, ErrorCode};
use skyring_codec::skynet;

use crate::cluster::connection::{Connection, Flush};
use crate::config::NodeAddress;
use crate::control;
use crate::error::{Error, Text};
use crate::log::Throttle;
use crate::node::shared::DialectChoice;
use crate::rt;
use crate::rt::notify::Notify;
use crate::rt::stream::Stream;
use crate::rt::timer::{sleep_or_wake, timeout};
use crate::service::handle::{Address, Handle};
use crate::service::message::Payload;
use crate::shard::envelope::{RemoteRequest, ReplyTo};
use crate::shard::slab::{Key, Slab};
use crate::shard::{Shard, Timer};

/// How long one attempt to connect may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// The pause after the first failed attempt; it doubles with each further one.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause between two attempts.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Reads in a row that found bytes at once before other connections get their turn.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Time between two log lines about attempts that fail, in milliseconds.
const FAILURE_LOG_INTERVAL_MS: u64 = 10_000;

/// A call that waits for its reply from the peer.
struct Pending {
    reply_to: ReplyTo,
    address: Address,
    timeout_ms: u64,
}

/// Why calls are lost.
#[derive(Clone, Copy)]
pub(crate) enum Loss<'a> {
    /// The connection broke, for this cause.
    Broken(&'a Text),
    /// The map turned the node off.
    Disabled,
    /// This node stops.
    ShuttingDown,
}

/// How a connection ended, and why.
enum Ended {
    /// The peer was met, and lost.
    Lost(Text),
    /// It never said what it speaks.
    NotMet(Text),
}

/// A channel; see the module.
pub(crate) struct Channel {
    pub(crate) node: Text,
    /// Which of the peer's channels it is, from 1 on.
    pub(crate) number: u32,
    address: RefCell<NodeAddress>,
    connection: Rc<Connection<CallerLink>>,
    pending: RefCell<Slab<Pending>>,
    /// Its key among the shard's channels, once it has one.
    key: Cell<Key>,
    /// The deadline that the shard's timer is set for.
    armed: Cell<Millis>,
    connected: Cell<bool>,
    /// It takes no more calls, and ends when those it has are done.
    retired: Cell<bool>,
    /// Attempts to connect have failed before the one under way.
    is_return: Cell<bool>,
    /// It connects although it has nothing to send, until this time or until it is connected.
    wanted_until: Cell<Millis>,
    /// There is something to send, or it is wanted.
    demanded: Notify,
    /// Connect now instead of after the pause.
    hurried: Notify,
    last_failure: RefCell<Option<Text>>,
    failure_log: Throttle,
    /// Replies that the link had found nobody waiting for when it was looked at last.
    replies_late: Cell<u64>,
}

impl Channel {
    /// A channel that connects when it is first used. The caller gives it its key and runs it.
    pub(crate) fn new(node: Text, number: u32, address: NodeAddress) -> Rc<Channel> {
        Rc::new(Channel {
            node,
            number,
            is_return: Cell::new(false),
            wanted_until: Cell::new(0),
            address: RefCell::new(address),
            connection: Connection::new(CallerLink::new(CallerLimits::default())),
            pending: RefCell::default(),
            key: Cell::new(Key::from_u64(0)),
            armed: Cell::new(Millis::MAX),
            connected: Cell::new(false),
            retired: Cell::new(false),
            demanded: Notify::default(),
            hurried: Notify::default(),
            last_failure: RefCell::new(None),
            failure_log: Throttle::new(FAILURE_LOG_INTERVAL_MS),
            replies_late: Cell::new(0),
        })
    }

    /// Tells the channel its key.
    pub(crate) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Where it connects to.
    pub(crate) fn address(&self) -> NodeAddress {
        self.address.borrow().clone()
    }

    /// Whether a connection is up.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// Has it connect although it has nothing to send, and go on trying until then.
    pub(crate) fn connect_until(&self, until: Millis) {
        self.wanted_until.set(self.wanted_until.get().max(until));
        self.demanded.wake();
    }

    /// Connects elsewhere from now on. Only while no connection is up; one that is serves its calls.
    pub(crate) fn set_address(&self, address: NodeAddress) {
        *self.address.borrow_mut() = address;
        self.hurried.wake();
    }

    /// Lets the channel finish what it has and then end.
    pub(crate) fn retire(&self, shard: &Rc<Shard>) {
        self.retired.set(true);
        // Sends that wait for the end of the turn: no reply will come after which to look again.
        Rc::clone(&self.connection).flush(shard);
        self.shut_down_if_done();
        self.demanded.wake();
    }

    fn shut_down_if_done(&self) {
        if self.retired.get() && self.connection.link.borrow().is_idle() {
            self.connection.shutdown();
        }
    }

    /// Fails everything that waits, and ends.
    pub(crate) fn end(&self, shard: &Rc<Shard>, loss: Loss<'_>) {
        self.connection.link.borrow_mut().close();
        let _ = self.take_events(shard, loss);
        self.retired.set(true);
        self.connection.shutdown();
        self.hurried.wake();
        self.demanded.wake();
    }

    /// Takes a call or a send.
    pub(crate) fn request(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        let RemoteRequest {
            address,
            source,
            payload,
            reply_to,
            deadline,
            timeout_ms,
            ..
        } = request;
        let mut link = self.connection.link.borrow_mut();
        let now = shard.now();
        let accepted = if reply_to == ReplyTo::Nobody {
            let address = wire_address(&address);
            link.request(
                now,
                CallerRequest {
                    address,
                    source: source.0,
                    payload: payload.0,
                    deadline,
                    token: None,
                },
            )
        } else {
            let mut table = self.pending.borrow_mut();
            let key = table.insert(Pending {
                reply_to,
                address: address.clone(),
                timeout_ms,
            });
            let address = wire_address(&address);
            let token = Some(key.to_u64());
            let accepted = link.request(
                now,
                CallerRequest {
                    address,
                    source: source.0,
                    payload: payload.0,
                    deadline,
                    token,
                },
            );
            if accepted.is_err() {
                table.remove(key);
            }
            accepted
        };
        drop(link);
        if let Err(error) = accepted {
            shard.refuse(reply_to, self.refusal(error));
            return;
        }
        if let Some(deadline) = deadline {
            self.arm(shard, deadline);
        }
        if self.connected.get() {
            self.connection.flush_later(shard);
        } else {
            self.demanded.wake();
        }
    }

    fn refusal(&self, error: LinkError) -> Error {
        match error {
            LinkError::Overloaded { what, limit } => Error::overloaded(format!(
                "channel to {}: {what} at their limit of {limit}",
                self.node
            )),
            LinkError::TooLarge { bytes, limit } => Error::TooLarge {
                bytes: bytes as u64,
                limit: limit as u64,
            },
            LinkError::InvalidName { .. } => Error::invalid(error.to_string()),
        }
    }

    fn arm(&self, shard: &Shard, deadline: Millis) {
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            shard.set_timer(deadline, Timer::Channel(self.key.get()));
        }
    }

    /// The shard's timer went off.
    pub(crate) fn deadline(&self, shard: &Rc<Shard>) {
        self.armed.set(Millis::MAX);
        // A malformed reply that shows up here shows up again for the reader, who closes the connection.
        if self
            .take_events(shard, Loss::Broken(&Text::from("closed")))
            .is_err()
        {
            self.connection.shutdown();
        }
        let next = self.connection.link.borrow().next_deadline();
        if let Some(next) = next {
            self.arm(shard, next.max(shard.now() + 1));
        }
        self.shut_down_if_done();
    }

    /// Answers whoever the link has news for. An error is the peer's: it does not speak the protocol.
    fn take_events(&self, shard: &Rc<Shard>, loss: Loss<'_>) -> Result<(), Text> {
        loop {
            let event = self.connection.link.borrow_mut().poll_event(shard.now());
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.to_string().into()),
            };
            let event = match event {
                CallerEvent::Ready { peer, .. } => {
                    self.ready(shard, peer.map_or(1, |peer| peer.channels));
                    continue;
                }
                // What is accepted from now on waits in the link for the next connection.
                CallerEvent::Goodbye => continue,
                event => event,
            };
            let Some(token) = event.token() else { continue };
            let pending = self.pending.borrow_mut().remove(Key::from_u64(token));
            let Some(pending) = pending else { continue };
            let result = match event {
                CallerEvent::Reply {
                    result: Ok(payload), ..
                } => Ok(Payload(payload)),
                CallerEvent::Reply {
                    result: Err(error), ..
                } => Err(match error.code {
                    // The service's own words, whatever they look like.
                    Some(ErrorCode::Remote) => Error::remote(String::from_utf8_lossy(&error.text)),
                    _ => Error::from_wire(&error.text, &pending.address.to_string()),
                }),
                CallerEvent::Expired { .. } => Err(self.expiry(&pending)),
                CallerEvent::Lost { may_have_run, .. } => Err(self.loss(&loss, may_have_run)),
                CallerEvent::TooLarge { bytes, .. } => {
                    shard.node.metrics.messages_too_large.add(1);
                    let limit = CallerLimits::default().message_bytes_max as u64;
                    Err(Error::TooLarge {
                        bytes: bytes as u64,
                        limit,
                    })
                }
                // Events of the connection carry no token, and were dealt with.
                CallerEvent::Ready { .. } | CallerEvent::Goodbye => continue,
            };
            shard.reply(pending.reply_to, result);
        }
    }

    /// The peer has said what it speaks: what waited goes out.
    fn ready(&self, shard: &Rc<Shard>, channels: u32) {
        self.connected.set(true);
        if self.is_return.get() {
            shard.log(
                Handle::NONE,
                format!("cluster node {} is reached again", self.node),
            );
        }
        self.wanted_until.set(0);
        shard.node.note_failure(&self.node, None);
        self.connection.flush_later(shard);
        if self.number == 1 {
            shard.cluster.met(shard, &self.node, channels);
        }
    }

    /// What a call whose time is over gets: without a connection it was never sent, and the reason for
    /// that says more than the time.
    fn expiry(&self, pending: &Pending) -> Error {
        if !self.connected.get() {
            let cause = self.last_failure.borrow().clone();
            let cause = cause.unwrap_or_else(|| Text::from("not connected in time"));
            return Error::Unreachable {
                node: self.node.clone(),
                cause,
            };
        }
        let target = format!("{} {}", self.node, pending.address);
        Error::Timeout {
            target: target.into(),
            timeout_ms: pending.timeout_ms,
        }
    }

    fn loss(&self, loss: &Loss<'_>, may_have_run: bool) -> Error {
        let node = self.node.clone();
        match loss {
            Loss::Disabled => Error::Disabled { node, may_have_run },
            Loss::ShuttingDown => Error::ShuttingDown,
            Loss::Broken(cause) => Error::ConnectionLost {
                node,
                cause: Text::clone(cause),
                may_have_run,
            },
        }
    }

    // ---- the channel's task ----

    /// Connects when there is something to send, serves the connection until it breaks, and so on until
    /// the channel is retired and idle.
    pub(crate) async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let mut failures = 0u32;
        loop {
            let is_wanted = self.wanted_until.get() > shard.update_now();
            if self.connection.link.borrow().is_idle() && (self.retired.get() || !is_wanted) {
                if self.retired.get() {
                    break;
                }
                self.demanded.wait().await;
                continue;
            }
            match self.connect(&shard).await {
                Ok(stream) => match self.serve(&shard, Rc::new(stream), failures > 0).await {
                    Ended::Lost(cause) => {
                        failures = 0;
                        if !self.retired.get() && !shard.stopping.get() {
                            shard.node.metrics.connections_lost.add(1);
                            shard.log(Handle::NONE, format!("cluster node {} lost: {cause}", self.node));
                        }
                    }
                    Ended::NotMet(_) if self.retired.get() || shard.stopping.get() => {}
                    Ended::NotMet(cause) => {
                        failures += 1;
                        let cause = format!("{cause}, before it answered the hello");
                        let cause = self.placed(&self.address(), &cause);
                        self.pause_after_failure(&shard, failures, cause).await;
                    }
                },
                Err(cause) => {
                    failures += 1;
                    self.pause_after_failure(&shard, failures, cause).await;
                }
            }
        }
        shard.cluster.remove_channel(self.key.get());
    }

    async fn connect(&self, shard: &Rc<Shard>) -> Result<Stream, Text> {
        let address = self.address();
        let mut failure = Text::from("");
        // A host may have several addresses, of which the service may use any.
        for place in control::resolve(shard, address.host(), address.port()).await? {
            failure = match timeout(CONNECT_TIME_MAX, Stream::connect(place)).await {
                Some(Ok(_)) if self.address() != address => {
                    return Err(self.placed(&address, "no longer its address"));
                }
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => self.placed(&address, &error.to_string()),
                None => {
                    let seconds = CONNECT_TIME_MAX.as_secs();
                    self.placed(&address, &format!("no answer within {seconds} s"))
                }
            };
        }
        Err(failure)
    }

    /// A cause with the address that it is about, unless that is the node's name already.
    fn placed(&self, address: &NodeAddress, cause: &str) -> Text {
        let address = address.to_string();
        if *self.node == *address {
            cause.into()
        } else {
            format!("{address}: {cause}").into()
        }
    }

    async fn pause_after_failure(&self, shard: &Rc<Shard>, failures: u32, cause: Text) {
        self.count_failure(shard, cause);
        sleep_or_wake(Some(retry_pause(failures)), &self.hurried).await;
    }

    fn count_failure(&self, shard: &Rc<Shard>, cause: Text) {
        shard.node.metrics.connects_failed.add(1);
        if let Some(suppressed) = self.failure_log.allow(shard.update_now()) {
            let more = match suppressed {
                0 => String::new(),
                count => format!(" ({count} more attempts failed since the last such line)"),
            };
            shard.log(
                Handle::NONE,
                format!("cluster node {} is not reached: {cause}{more}", self.node),
            );
        }
        shard.node.note_failure(&self.node, Some(&cause));
        *self.last_failure.borrow_mut() = Some(cause);
    }

    /// Serves one connection to its end, and says what ended it.
    async fn serve(&self, shard: &Rc<Shard>, stream: Rc<Stream>, is_return: bool) -> Ended {
        shard.io_seen();
        self.is_return.set(is_return);
        // Calls that expired meanwhile go first, so that they are not sent at all.
        let _ = self.take_events(shard, Loss::Disabled);
        self.connection.attach(Rc::clone(&stream));
        if shard.node.settings.dialect == DialectChoice::Skynet {
            self.connection.link.borrow_mut().connected();
            self.ready(shard, 1);
        } else {
            let channels = shard.node.settings.channels.unwrap_or(CHANNELS_MAX);
            let hello = shard.node.hello(self.number, channels);
            let dialled = self.connection.link.borrow_mut().dial(shard.now(), &hello);
            if let Err(error) = dialled {
                self.connection.detach();
                return Ended::NotMet(error.to_string().into());
            }
            let unanswered = Text::from("it has not answered the hello");
            *self.last_failure.borrow_mut() = Some(unanswered.clone());
            shard.node.note_failure(&self.node, Some(&unanswered));
            self.arm(shard, shard.now() + HANDSHAKE_MS_MAX);
            self.connection.flush_later(shard);
        }

        let cause = self.read_replies(shard, &stream).await;

        let was_met = self.connected.replace(false);
        self.is_return.set(false);
        let cause = self.connection.detach().unwrap_or(cause);
        *self.last_failure.borrow_mut() = Some(cause.clone());
        self.connection.link.borrow_mut().disconnected();
        let _ = self.take_events(shard, Loss::Broken(&cause));
        if was_met {
            Ended::Lost(cause)
        } else {
            Ended::NotMet(cause)
        }
    }

    fn count_late_replies(&self, shard: &Shard) {
        let late = self.connection.link.borrow().late_replies();
        let before = self.replies_late.replace(late);
        if late > before {
            shard.node.metrics.replies_late.add(late - before);
        }
    }

    async fn read_replies(&self, shard: &Rc<Shard>, stream: &Stream) -> Text {
        let mut reads_in_a_row = 0;
        loop {
            if self.retired.get() && self.connection.link.borrow().is_idle() {
                return Text::from("no longer used");
            }
            let (chunk, waited) = match stream.read(&shard.read_buffer).await {
                Ok((chunk, _)) if chunk.is_empty() => return Text::from("closed by the peer"),
                Ok(read) => read,
                Err(error) => return error.to_string().into(),
            };
            if waited {
                shard.io_seen();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            self.connection.link.borrow_mut().receive(chunk);
            if let Err(cause) = self.take_events(shard, Loss::Disabled) {
                return cause;
            }
            self.count_late_replies(shard);
            if self.connection.link.borrow().has_partial_input() {
                stream.acknowledge_now();
            }
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.io_seen();
            }
        }
    }
}

/// An address as the wire says it.
fn wire_address(address: &Address) -> skynet::Address<'_> {
    match address {
        Address::Handle(handle) => skynet::Address::Handle(handle.0),
        Address::Name(name) => skynet::Address::Name(name.as_bytes()),
    }
}

/// The pause after so many failed attempts: doubled each time, and then any length between half and all of
/// it, so that the nodes that lost one peer do not all come back at once.
fn retry_pause(failures: u32) -> Duration {
    let doubled = RETRY_PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = doubled.min(RETRY_PAUSE_MAX);
    let random = RandomState::new().build_hasher().finish();
    longest / 2 + longest.mul_f64((random % 1_000) as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_not_all_alike() {
        let first: Vec<Duration> = (0..100).map(|_| retry_pause(1)).collect();
        assert!(
            first
                .iter()
                .all(|pause| *pause >= RETRY_PAUSE_MIN / 2 && *pause <= RETRY_PAUSE_MIN)
        );
        assert!(first.iter().any(|pause| *pause != first[0]));
        for failures in [10, 100, u32::MAX] {
            let pause = retry_pause(failures);
            assert!(
                pause >= RETRY_PAUSE_MAX / 2 && pause <= RETRY_PAUSE_MAX,
                "{pause:?}"
            );
        }
    }
}
