//! A gate: accepts clients over TCP and websockets, on every shard, and passes each of their packets to a service, whose
//! answer goes back to the client.
//!
//! A config starts it with its address, the target, optionally the largest number of clients, and settings:
//! `services = { front = "gate 0.0.0.0:8888 .game 20000", web = "gate ws://0.0.0.0:8889/game .game 20000 idle_ms=60000" }`.
//! A packet is preceded by its length, two bytes, big-endian, or is a message of a websocket. With `tls://` or `wss://` all of
//! it is within TLS.
//!
//! The target gets `("data", client, bytes)` as a call and answers with the bytes of a packet for the client, or with
//! nothing; if it answers with an error, the gate closes the client's connection. It gets `("open", client, address)` and
//! `("close", client)` as sends. All of them have the client's number as their key, which leads to the client's own shard:
//! with a [keyed service](skyring::Caller::launch_keyed) as target no packet crosses shards. `NODE@NAME` is a service of
//! another node.
//!
//! The gate itself takes [commands](Gate).
//!
//! Invariants: the packets of a client reach its target in order; a client with [`GATE_CALLS_MAX`] unanswered packages
//! is not read; a client that has declared a long packet takes only the memory of the bytes it has sent; a client whose
//! target has heard `open` is followed by `close`, once.

mod admission;
mod client;
mod command;
mod framing;
mod length;
mod proxy;
mod rate;
mod settings;
mod tls;
mod websocket;
mod worker;

use std::sync::Arc;

use skyring::seri::{Table, Value};
use skyring::{
    Answer, Caller, Context, Error, Handle, Message, Payload, Report, ServerTls, Service, SocketEvent,
    SocketId, SocketNews,
};

use self::admission::Admission;
use self::command::Command;
pub use self::settings::{
    GATE_CLIENTS_MAX_DEFAULT, GATE_HANDSHAKE_MS_DEFAULT, GATE_PACKET_BYTES_DEFAULT, GATE_PACKET_BYTES_MAX,
    GATE_WAITING_BYTES_DEFAULT, GATE_WAITING_BYTES_MAX, GateSettings, Protocol, Target, WhenFull,
};
pub use self::tls::GateTls;
use self::worker::Worker;
pub use self::worker::{GATE_CALLS_MAX, GATE_ROOMS_MAX};

/// Connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1_024;

/// A gate. It takes these messages:
///
/// | message | does |
/// | --- | --- |
/// | `("write", client, bytes)` | writes a packet to a client |
/// | `("kick", client)` | closes its connection |
/// | `("forward", client, handle)` | gives its packets to another service of the node from now on; without a handle to the target |
/// | `("join", client, room)`, `("leave", client, room)` | has it get what is pushed to a room, or undoes that |
/// | `("push", room, bytes)`, `("push_all", bytes)` | writes a packet to all clients of a room, or to all, encoded once a shard; answers with their number |
/// | `("clients")` | answers with the number of clients |
/// | `("counters")` | answers with a table of what was counted |
pub struct Gate {
    settings: Arc<GateSettings>,
    admission: Arc<Admission>,
    /// The certificate, for clients with TLS.
    tls: Option<ServerTls>,
    listener: Option<SocketId>,
    /// The keyed service that has the clients; `None` before it is launched.
    workers: Option<Handle>,
}

impl Gate {
    /// A gate with these settings.
    pub fn new(settings: GateSettings) -> Gate {
        Gate {
            settings: Arc::new(settings),
            admission: Arc::default(),
            tls: None,
            listener: None,
            workers: None,
        }
    }

    /// Parses the arguments in a config.
    pub(crate) fn from_arguments(arguments: &str) -> Result<Gate, Error> {
        GateSettings::parse(arguments).map(Gate::new)
    }

    /// Launches a service with the clients of each shard, and accepts clients from then on.
    async fn open(context: Context<Self>) {
        let (settings, admission, tls) = context.update(|gate| {
            let (settings, admission) = (Arc::clone(&gate.settings), Arc::clone(&gate.admission));
            (settings, admission, gate.tls.clone())
        });
        let make = move |_: &Context<Worker>| {
            Worker::new(Arc::clone(&settings), Arc::clone(&admission), tls.clone())
        };
        match context.launch_keyed(make).await {
            Ok(workers) => context.update(|gate| {
                gate.workers = Some(workers);
                if let Some(listener) = gate.listener {
                    // Starting cannot fail.
                    let _ = context.sockets().start_spread(listener, workers);
                }
            }),
            Err(error) => {
                context.log(format!("the gate ends, because its shards cannot start: {error}"));
                context.exit();
            }
        }
    }

    fn execute(&self, context: &Context<Self>, message: Message) -> Answer {
        let command = match Command::parse(&message) {
            Ok(command) => command,
            Err(error) => return Answer::error(error),
        };
        let Some(workers) = self.workers else {
            return Answer::error(Error::remote("the gate is starting"));
        };
        match command {
            Command::Clients => Answer::now(&self.admission.clients()),
            Command::Counters => {
                let mut counters = Table::default();
                let of_tls = self.tls.as_ref().map(tls::list);
                let listed = self.admission.counters.list().into_iter();
                for (name, value) in listed.chain(of_tls.into_iter().flatten()) {
                    counters
                        .entries
                        .push((Value::from(name), Value::from(value as i64)));
                }
                Answer::now(&counters)
            }
            Command::Push(..) | Command::PushAll(_) => {
                let (caller, is_call) = ((**context).clone(), message.is_call());
                let payload = message.payload;
                let pushed = push(caller, workers, payload);
                if is_call {
                    Answer::later(pushed)
                } else {
                    context.spawn(async move {
                        // Nobody waits for the number.
                        let _ = pushed.await;
                    });
                    Answer::none()
                }
            }
            command => {
                let key = command.client().map_or(0, |client| u64::from(client.0));
                let worker = context.instance(workers, key);
                let (source, kind) = (message.source, message.kind);
                context.forward(source, worker, kind, message.payload, context.responder());
                Answer::none()
            }
        }
    }
}

/// Has every shard write a packet, which all of them share; answers with the number of clients.
async fn push(caller: Caller, workers: Handle, payload: Payload) -> Result<Payload, Error> {
    let shards = caller.shards() as u64;
    let calls: Vec<_> = (0..shards)
        .map(|shard| caller.key(shard).call_payload(workers, Ok(payload.clone())))
        .collect();
    let mut written = 0;
    for call in calls {
        written += call.await?.unpack::<u64>()?;
    }
    Payload::pack(&written)
}

impl Service for Gate {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        if let Some(tls) = &self.settings.tls {
            self.tls = Some(tls.begin(context)?);
        }
        let (host, port) = (&self.settings.host, self.settings.port);
        self.listener = Some(context.sockets().listen(host, port, BACKLOG)?);
        context.spawn(Gate::open(context.clone()));
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        self.execute(context, message)
    }

    fn report(&self, report: &mut Report) {
        let clients = self.admission.clients() as u64;
        report.gauge("gate_clients", "Clients now.", clients);
        let clients_max = self.settings.clients_max as u64;
        report.gauge("gate_clients_max", "Clients that there may be.", clients_max);
        self.admission.counters.report(report);
        if let Some(tls) = &self.tls {
            tls::report(tls, report);
        }
    }

    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        match event.news {
            SocketNews::Failed { cause } => context.log(format!("cannot accept a client: {cause}")),
            SocketNews::Opened { address, port } if port != 0 => {
                context.log(format!("Listen on {address}:{port}"));
            }
            _ => {}
        }
    }
}
