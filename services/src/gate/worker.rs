//! The clients of one shard: their packets go to the target, and what comes back goes to them.
//!
//! A client's key is its number, and a socket's number has the remainder of its shard. So with a target that is a
//! keyed service a packet stays on its shard from the socket to the handler and back.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use skyring::{
    Address, Answer, Caller, Context, Error, Handle, Kind, Message, NodeRef, Payload, ServerTls, Service,
    SocketEvent, SocketId, SocketNews, Sockets,
};
use slab::Slab;

use super::admission::{Admission, count};
use super::client::Client;
use super::command::Command;
use super::framing::{FramingError, Header, header};
use super::proxy;
use super::settings::{GateSettings, Protocol, Target, WhenFull};

/// Most packets of one client that the target has not answered yet.
pub const GATE_CALLS_MAX: usize = 64;

/// Most rooms that one client is in.
pub const GATE_ROOMS_MAX: usize = 64;

/// How often clients are looked for that are overdue.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// How often clients are looked at that have sent their share.
const THROTTLE_INTERVAL: Duration = Duration::from_millis(20);

/// Where packets of one client go.
enum Route {
    /// To a service of this node.
    Local(Caller, Handle),
    /// To one of another node.
    Remote(NodeRef, Address),
}

impl Route {
    /// Calls it with a packet. The answer is that of the session.
    fn post(&self, context: &Context<Worker>, session: u32, payload: Payload) {
        match self {
            Route::Local(caller, handle) => caller.post(*handle, Kind::LUA, session, payload),
            Route::Remote(node, address) => {
                context.post_remote(node, address.clone(), session, payload, None);
            }
        }
    }
}

/// The clients of one shard.
pub(super) struct Worker {
    settings: Arc<GateSettings>,
    admission: Arc<Admission>,
    /// The certificate, for clients with TLS.
    tls: Option<ServerTls>,
    /// Boxed: a table has many places that are free.
    clients: FxHashMap<SocketId, Box<Client>>,
    rooms: HashMap<Rc<str>, HashSet<SocketId>>,
    /// The rooms of a client, for those that are in any.
    rooms_by_client: FxHashMap<SocketId, Vec<Rc<str>>>,
    /// The client of each call in flight, and whether its packet was a text. A session is a key and one more: 0 means a
    /// send.
    calls: Slab<(SocketId, bool)>,
    /// Clients that are not read because they have sent their share.
    throttled: Vec<SocketId>,
}

impl Worker {
    pub(super) fn new(
        settings: Arc<GateSettings>,
        admission: Arc<Admission>,
        tls: Option<ServerTls>,
    ) -> Worker {
        Worker {
            settings,
            admission,
            tls,
            clients: FxHashMap::default(),
            rooms: HashMap::new(),
            rooms_by_client: FxHashMap::default(),
            calls: Slab::new(),
            throttled: Vec::new(),
        }
    }

    // ---- clients that come and go ----

    fn accept(&mut self, context: &Context<Self>, id: SocketId, peer: SocketAddr) {
        let is_proxied = self
            .settings
            .proxies
            .iter()
            .any(|network| network.contains(&peer.ip()));
        let client = Client::new(peer, is_proxied, &self.settings, Instant::now());
        self.clients.insert(id, Box::new(client));
        if is_proxied || self.admit(context, id) {
            let sockets = context.sockets();
            let started = match &self.tls {
                None => sockets.start(id),
                Some(tls) => sockets.start_tls(id, tls, is_proxied.then_some(proxy::preface)),
            };
            if let Err(error) = started {
                context.log(format!("client {id} is closed: {error}"));
                self.close(context, id);
            }
        }
    }

    /// The TLS handshake of a client has ended.
    fn secure(&mut self, context: &Context<Self>, id: SocketId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.secure(&self.settings);
        }
        self.introduce(context, id);
    }

    /// Gives a client whose address is known its place; false when it is closed instead.
    fn admit(&mut self, context: &Context<Self>, id: SocketId) -> bool {
        let Some(client) = self.clients.get_mut(&id) else {
            return false;
        };
        client.place = self.admission.admit(client.address.ip(), &self.settings);
        if client.place.is_none() {
            self.clients.remove(&id);
            let _ = context.sockets().shutdown(id);
            return false;
        }
        self.introduce(context, id);
        true
    }

    /// Tells the target of a client, once packets can be written to it.
    fn introduce(&mut self, context: &Context<Self>, id: SocketId) {
        if let Some(client) = self.clients.get_mut(&id)
            && client.framing.is_open()
            && !client.is_known
        {
            client.is_known = true;
            if self.settings.protocol != Protocol::Length {
                client.begin();
            }
            let address = client.address.to_string();
            let traceparent = client.framing.take_traceparent();
            let tls = self.settings.tls.as_ref();
            let has_certificate = tls.is_some_and(|tls| tls.client_ca.is_some());
            let open = || match has_certificate {
                false => self.notify(context, id, &("open", id.0, address.as_str())),
                true => {
                    let names = context.sockets().peer_names(id);
                    let name = names.first().map_or("", String::as_str);
                    self.notify(context, id, &("open", id.0, address.as_str(), name));
                }
            };
            match (traceparent, &self.settings.protocol) {
                (Some(header), Protocol::WebSocket { path }) if self.settings.trusts_traceparent => {
                    context.within_trace(&header, &format!("GET {path}"), open);
                }
                _ => open(),
            }
        }
    }

    /// Closes a client's connection once its waiting bytes are written, and forgets the client.
    fn close(&mut self, context: &Context<Self>, id: SocketId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        for room in self.rooms_by_client.remove(&id).unwrap_or_default() {
            self.remove_member(&room, id);
        }
        let _ = context.sockets().close(id);
        if client.is_known {
            self.notify(context, id, &("close", id.0));
        }
    }

    /// Sends an event to the target. If the target is gone, the event is dropped.
    fn notify<T: skyring::seri::Pack>(&self, context: &Context<Self>, id: SocketId, values: &T) {
        let key = u64::from(id.0);
        let _ = match &self.settings.target {
            Target::Local(address) => context.key(key).send(address.clone(), values),
            Target::Remote { node, address } => {
                context.node(node.as_str()).key(key).send(address.clone(), values)
            }
        };
    }

    // ---- from clients ----

    fn receive(&mut self, context: &Context<Self>, id: SocketId, bytes: Bytes) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match client.receive(bytes, &self.settings, Instant::now()) {
            Ok(true) if !self.admit(context, id) => {}
            Ok(_) => self.forward_packets(context, id),
            Err(error) => self.fail(context, id, &error),
        }
    }

    /// Passes complete packets on, as many as may be unanswered and as its share allows.
    fn forward_packets(&mut self, context: &Context<Self>, id: SocketId) {
        let (mut output, mut failed, mut throttled) = (Vec::new(), None, false);
        let mut route = None;
        while let Some(client) = self.clients.get_mut(&id) {
            if client.unanswered >= GATE_CALLS_MAX {
                break;
            }
            throttled = client.is_throttled(&self.settings);
            if throttled {
                break;
            }
            let (is_known, agent) = (client.is_known, client.agent);
            let payload = match client.next(&self.settings, &mut output) {
                Ok(Some(packet)) => Payload::pack(&("data", id.0, &*packet.body)),
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            client.unanswered += 1;
            let is_text = client.is_text;
            if !is_known {
                self.introduce(context, id);
            }
            let posted = payload.and_then(|payload| {
                let route = match &route {
                    Some(route) => route,
                    None => route.insert(self.route(context, id, agent)?),
                };
                // There are at most as many calls as clients, times GATE_CALLS_MAX, and clients that were closed leave theirs
                // until they are answered: far fewer than 2^32.
                let session = self.calls.insert((id, is_text)) as u32 + 1;
                route.post(context, session, payload);
                Ok(())
            });
            if let Err(error) = posted {
                context.log(format!("client {id} is closed: {error}"));
                return self.close(context, id);
            }
        }
        if !output.is_empty() {
            self.write_control(context, id, output.into());
        }
        if let Some(error) = failed {
            return self.fail(context, id, &error);
        }
        self.introduce(context, id);
        self.pause_or_start(context, id, throttled);
    }

    /// Stops or goes on reading a client, and closes one that has ended.
    fn pause_or_start(&mut self, context: &Context<Self>, id: SocketId, throttled: bool) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let sockets = context.sockets();
        // Pausing and starting cannot fail.
        if (throttled || client.unanswered >= GATE_CALLS_MAX) && !client.is_paused {
            client.is_paused = true;
            let _ = sockets.pause(id);
        } else if !throttled && client.unanswered <= GATE_CALLS_MAX / 2 && client.is_paused {
            client.is_paused = false;
            let _ = sockets.start(id);
        }
        if throttled {
            if !self.throttled.contains(&id) {
                count(&self.admission.counters.throttled);
                self.throttled.push(id);
            }
        } else if client.has_ended && client.unanswered == 0 {
            self.close(context, id);
        }
    }

    /// Where the packets of a client go: to its agent, or to the target.
    fn route(&self, context: &Context<Self>, id: SocketId, agent: Option<Handle>) -> Result<Route, Error> {
        let key = u64::from(id.0);
        let handle = match (agent, &self.settings.target) {
            (Some(agent), _) => agent,
            (None, Target::Local(Address::Handle(handle))) => *handle,
            (None, Target::Local(Address::Name(name))) => {
                let found = context.find(name);
                found.ok_or_else(|| Error::remote(format!("there is no service {name}")))?
            }
            (None, Target::Remote { node, address }) => {
                let node = context.key(key).node(node.as_str()).key(key);
                return Ok(Route::Remote(node, address.clone()));
            }
        };
        Ok(Route::Local(context.key(key), handle))
    }

    /// Closes a client for what it sent.
    fn fail(&mut self, context: &Context<Self>, id: SocketId, error: &FramingError) {
        let counters = &self.admission.counters;
        match error {
            FramingError::Goodbye => {}
            FramingError::Tls => count(&counters.tls_unexpected),
            FramingError::TooLarge(_) | FramingError::Malformed(_) => count(&counters.malformed),
        }
        self.close(context, id);
    }

    // ---- to clients ----

    /// Writes a packet to a client. One that does not read loses it, or is closed.
    fn write(
        &mut self,
        context: &Context<Self>,
        id: SocketId,
        body: &[u8],
        is_text: bool,
    ) -> Result<(), Error> {
        let header = self.header(body, is_text)?;
        self.write_parts(context, id, header.len() + body.len(), |sockets| {
            sockets.write_copied(id, &[&header, body])
        });
        Ok(())
    }

    fn header(&self, body: &[u8], is_text: bool) -> Result<Header, Error> {
        let (protocol, bytes_max) = (&self.settings.protocol, self.settings.packet_bytes_max);
        header(protocol, body, is_text, bytes_max).map_err(|_| Error::TooLarge {
            bytes: body.len() as u64,
            limit: bytes_max as u64,
        })
    }

    /// Has `write` write so many bytes to a client, if it reads them.
    fn write_parts(
        &mut self,
        context: &Context<Self>,
        id: SocketId,
        bytes: usize,
        write: impl FnOnce(&Sockets) -> Result<usize, Error>,
    ) {
        let Some(client) = self
            .clients
            .get_mut(&id)
            .filter(|client| client.framing.is_open())
        else {
            return;
        };
        let sockets = context.sockets();
        let bytes_max = self.settings.waiting_bytes_max;
        let has_room = |waiting: usize| waiting == 0 || waiting + bytes <= bytes_max;
        // What waits only becomes less between two writes, so the socket is rarely asked.
        if has_room(client.waiting_max) || has_room(sockets.waiting(id).unwrap_or(0)) {
            // A socket that is closing takes nothing, and needs nothing.
            client.waiting_max = write(&sockets).unwrap_or(0);
            return;
        }
        match self.settings.when_full {
            WhenFull::Drop => count(&self.admission.counters.dropped),
            WhenFull::Close => {
                count(&self.admission.counters.slow);
                // It reads nothing, so its waiting bytes are not waited for.
                let _ = sockets.shutdown(id);
                self.close(context, id);
            }
        }
    }

    /// Writes what is no packet: pongs, which are bounded as packets are, and the answer to a handshake or a close.
    fn write_control(&mut self, context: &Context<Self>, id: SocketId, bytes: Bytes) {
        let client = self.clients.get(&id);
        if client.is_some_and(|client| client.framing.is_open()) {
            self.write_parts(context, id, bytes.len(), |sockets| {
                write_shared(sockets, id, bytes)
            });
        } else {
            let _ = context.sockets().write(id, bytes);
        }
    }

    /// Writes a packet to many clients: encoded once for binary messages and once for texts, and shared.
    fn write_many(
        &mut self,
        context: &Context<Self>,
        ids: Vec<SocketId>,
        body: &[u8],
    ) -> Result<usize, Error> {
        let mut encoded: [Option<Bytes>; 2] = [None, None];
        let mut written = 0;
        for id in ids {
            let Some(client) = self.clients.get(&id) else {
                continue;
            };
            let is_text = client.is_text;
            let packet = match &encoded[usize::from(is_text)] {
                Some(packet) => packet.clone(),
                None => {
                    let packet = [&self.header(body, is_text)?[..], body].concat();
                    encoded[usize::from(is_text)].insert(packet.into()).clone()
                }
            };
            self.write_parts(context, id, packet.len(), |sockets| {
                write_shared(sockets, id, packet)
            });
            written += 1;
        }
        Ok(written)
    }

    // ---- commands ----

    fn execute(&mut self, context: &Context<Self>, command: Command<'_>) -> Result<Payload, Error> {
        match command {
            Command::Write(id, body) => {
                let is_text = self.clients.get(&id).ok_or_else(|| unknown(id))?.is_text;
                self.write(context, id, body, is_text)?;
            }
            Command::Kick(id) => self.close(context, id),
            Command::Forward(id, agent) => {
                self.clients.get_mut(&id).ok_or_else(|| unknown(id))?.agent = agent;
            }
            Command::Join(id, room) => self.join(id, room)?,
            Command::Leave(id, room) => self.leave(id, room),
            Command::Push(room, body) => {
                let members = self.rooms.get(room).into_iter().flatten().copied().collect();
                return Payload::pack(&self.write_many(context, members, body)?);
            }
            Command::PushAll(body) => {
                let all = self.clients.keys().copied().collect();
                return Payload::pack(&self.write_many(context, all, body)?);
            }
            Command::Clients | Command::Counters => {}
        }
        Payload::pack(&())
    }

    fn join(&mut self, id: SocketId, room: &str) -> Result<(), Error> {
        if !self.clients.contains_key(&id) {
            return Err(unknown(id));
        }
        let rooms = self.rooms_by_client.entry(id).or_default();
        if rooms.iter().any(|joined| **joined == *room) {
            return Ok(());
        }
        if rooms.len() >= GATE_ROOMS_MAX {
            let what = format!("client {id} is in {GATE_ROOMS_MAX} rooms, which are the most").into();
            return Err(Error::Overloaded { what });
        }
        let room: Rc<str> = match self.rooms.get_key_value(room) {
            Some((room, _)) => Rc::clone(room),
            None => room.into(),
        };
        rooms.push(Rc::clone(&room));
        self.rooms.entry(room).or_default().insert(id);
        Ok(())
    }

    fn leave(&mut self, id: SocketId, room: &str) {
        if let Some(rooms) = self.rooms_by_client.get_mut(&id) {
            rooms.retain(|joined| **joined != *room);
            if rooms.is_empty() {
                self.rooms_by_client.remove(&id);
            }
        }
        self.remove_member(room, id);
    }

    fn remove_member(&mut self, room: &str, id: SocketId) {
        if let Some(members) = self.rooms.get_mut(room) {
            members.remove(&id);
            if members.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    // ---- time ----

    /// Closes clients that are overdue.
    fn sweep(&mut self, context: &Context<Self>) {
        let now = Instant::now();
        let overdue = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_overdue(&self.settings, now));
        let overdue: Vec<SocketId> = overdue.map(|(id, _)| *id).collect();
        for id in overdue {
            count(&self.admission.counters.timed_out);
            self.close(context, id);
        }
    }

    /// Goes on with clients that may send again.
    fn release(&mut self, context: &Context<Self>) {
        for id in std::mem::take(&mut self.throttled) {
            self.forward_packets(context, id);
        }
    }
}

/// Writes bytes that others may share. Returns how many wait then.
fn write_shared(sockets: &Sockets, id: SocketId, bytes: Bytes) -> Result<usize, Error> {
    sockets.write(id, bytes)?;
    Ok(sockets.waiting(id).unwrap_or(0))
}

fn unknown(id: SocketId) -> Error {
    Error::remote(format!("the gate has no client {id}"))
}

impl Service for Worker {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let settings = &self.settings;
        if !settings.handshake.is_zero() || !settings.idle.is_zero() {
            let context_sweep = context.clone();
            context.spawn(async move {
                loop {
                    context_sweep.sleep(SWEEP_INTERVAL).await;
                    context_sweep.update(|worker| worker.sweep(&context_sweep));
                }
            });
        }
        if settings.has_rates() {
            let context_release = context.clone();
            context.spawn(async move {
                loop {
                    context_release.sleep(THROTTLE_INTERVAL).await;
                    context_release.update(|worker| worker.release(&context_release));
                }
            });
        }
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let done = Command::parse(&message).and_then(|command| self.execute(context, command));
        Answer::from(done)
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let Some((id, is_text)) = self.calls.try_remove((session as usize).wrapping_sub(1)) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.unanswered = client.unanswered.saturating_sub(1);
        // Of any other client all complete packets are passed on already.
        let has_more = client.is_paused || client.has_ended;
        let written = result.and_then(|payload| match payload.unpack::<Option<&[u8]>>()? {
            Some(body) => self.write(context, id, body, is_text),
            None => Ok(()),
        });
        if let Err(error) = written {
            context.log(format!("client {id} is closed: {error}"));
            return self.close(context, id);
        }
        if has_more {
            self.forward_packets(context, id);
        }
    }

    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let id = event.socket;
        match event.news {
            SocketNews::Accepted { socket, peer } => self.accept(context, socket, peer),
            SocketNews::Data(bytes) => self.receive(context, id, bytes),
            SocketNews::Closed => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.has_ended = true;
                    self.forward_packets(context, id);
                }
            }
            SocketNews::Failed { .. } => self.close(context, id),
            SocketNews::Opened { .. } if self.tls.is_some() => self.secure(context, id),
            SocketNews::Opened { .. } | SocketNews::Datagram { .. } | SocketNews::Warning { .. } => {}
        }
    }
}
