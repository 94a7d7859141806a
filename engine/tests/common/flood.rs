//! Messages between all shards of a node, as fast as it takes them, each checked to arrive exactly once and in
//! the order of its sender.
//!
//! Messages carry the low 16 bits of their number in bytes that are in the program already, so a debug build
//! spends its time on the engine. No sender is ever that many messages ahead of its answers, so a message that
//! is lost, doubled or overtaken cannot pass for another.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use skyring::placement::shard_of_handle;
use skyring::{Answer, Caller, Context, Error, Handle, Message, Node, Payload, Service};

/// Messages that one sender has in flight: far below the bounds of inboxes and of the queues between shards.
const BATCH: u64 = 8_192;

/// The numbers 0..65,536, two bytes each.
static NUMBERS: [u8; 1 << 17] = {
    let mut numbers = [0; 1 << 17];
    let mut at = 0;
    while at < 1 << 16 {
        numbers[2 * at] = (at & 0xff) as u8;
        numbers[2 * at + 1] = (at >> 8) as u8;
        at += 1;
    }
    numbers
};

fn numbered(number: u64) -> Payload {
    let at = 2 * (number & 0xffff) as usize;
    Payload(Bytes::from_static(&NUMBERS[at..at + 2]))
}

/// Receives the messages of a flood, and answers calls with the number of messages from that caller.
#[derive(Default)]
struct Sink {
    had: HashMap<Handle, u64>,
    fault: Option<String>,
}

impl Service for Sink {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        let had = self.had.entry(message.source).or_default();
        if message.is_call() {
            return match &self.fault {
                Some(fault) => Answer::error(Error::remote(fault.as_str())),
                None => Answer::now(&(*had as i64)),
            };
        }
        if message.payload.0[..] != numbered(*had).0[..] && self.fault.is_none() {
            self.fault = Some(format!(
                "message {had} of {} arrived as {:?}",
                message.source, message.payload
            ));
        }
        *had += 1;
        Answer::none()
    }
}

/// Sends to sinks of other shards, and answers when all messages have arrived.
struct Sender {
    sinks: Vec<Handle>,
    messages: u64,
}

impl Service for Sender {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        let (caller, sinks, messages) = ((**context).clone(), self.sinks.clone(), self.messages);
        Answer::later(async move {
            send_all(&caller, &sinks, messages).await?;
            Payload::pack(&())
        })
    }
}

async fn send_all(caller: &Caller, sinks: &[Handle], messages: u64) -> Result<(), Error> {
    let mut sent = vec![0; sinks.len()];
    let mut left = messages;
    while left > 0 {
        let batch = left.min(BATCH);
        for number in 0..batch {
            // Runs of messages to one sink, then to the next.
            let sink = (number / 64) as usize % sinks.len();
            caller.send_payload(sinks[sink], numbered(sent[sink]))?;
            sent[sink] += 1;
        }
        left -= batch;
        for (sink, &sent) in sinks.iter().zip(&sent) {
            let had: u64 = caller.call(*sink, &()).await?.unpack()?;
            if had != sent {
                return Err(Error::remote(format!("{sink} has had {had} of {sent} messages")));
            }
        }
    }
    Ok(())
}

/// Launches a service on a given shard.
async fn launch_on<S: Service>(
    caller: &Caller,
    shard: usize,
    make: impl Fn() -> S + Clone + Send + 'static,
) -> Result<Handle, Error> {
    loop {
        let make = make.clone();
        let handle = caller.launch(move |_| make()).await?;
        if shard_of_handle(handle, caller.shards()) == shard {
            return Ok(handle);
        }
    }
}

/// Sends `messages` in total, from every shard to all others, and returns the time taken.
///
/// # Errors
/// When a message is lost, duplicated, refused or out of order; the text names it.
pub(crate) fn flood(node: &Node, messages: u64) -> Result<Duration, Error> {
    node.block_on(move |caller| async move {
        let shards = caller.shards();
        let mut sinks = Vec::new();
        for shard in 0..shards {
            sinks.push(launch_on(&caller, shard, Sink::default).await?);
        }
        let mut calls = Vec::new();
        for shard in 0..shards {
            let others: Vec<Handle> = (0..shards)
                .filter(|other| *other != shard)
                .map(|other| sinks[other])
                .collect();
            let share = messages / shards as u64 + u64::from((messages % shards as u64) > shard as u64);
            let make = move || Sender {
                sinks: others.clone(),
                messages: share,
            };
            let sender = launch_on(&caller, shard, make).await?;
            calls.push(caller.call(sender, &()));
        }
        let started = Instant::now();
        for outcome in crate::together::all(&caller, calls).await {
            outcome?;
        }
        Ok(started.elapsed())
    })?
}

/// Calls from one shard to another and back, `in_flight` at a time, and returns the time taken: with few in flight
/// both shards sleep and wake all the time.
///
/// # Errors
/// When a call fails.
pub(crate) fn ping_pong(node: &Node, round_trips: u64, in_flight: u64) -> Result<Duration, Error> {
    node.block_on(move |caller| async move {
        let other = (caller.shard_index() + 1) % caller.shards();
        let sink = launch_on(&caller, other, Sink::default).await?;
        let started = Instant::now();
        let players = (0..in_flight).map(|_| {
            let caller = caller.clone();
            async move {
                for _ in 0..round_trips / in_flight {
                    caller.call_payload(sink, Ok(Payload::default())).await?;
                }
                Ok::<(), Error>(())
            }
        });
        for outcome in crate::together::all(&caller, players).await {
            outcome?;
        }
        Ok(started.elapsed())
    })?
}

/// Bursts of 1 to 300 messages with pauses of 0 to 3 ms between them, from every shard to all others.
///
/// # Errors
/// As [`flood`].
pub(crate) fn bursts(node: &Node, bursts: u64) -> Result<Duration, Error> {
    node.block_on(move |caller| async move {
        let shards = caller.shards();
        let started = Instant::now();
        let mut calls = Vec::new();
        for shard in 0..shards {
            let sink = launch_on(&caller, (shard + 1) % shards, Sink::default).await?;
            let burster = launch_on(&caller, shard, move || Burster { sink, bursts }).await?;
            calls.push(caller.call(burster, &()));
        }
        for outcome in crate::together::all(&caller, calls).await {
            outcome?;
        }
        Ok(started.elapsed())
    })?
}

/// Sends bursts to a sink when it is called.
struct Burster {
    sink: Handle,
    bursts: u64,
}

impl Service for Burster {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        let (caller, sink, bursts) = ((**context).clone(), self.sink, self.bursts);
        Answer::later(async move {
            let mut sent = 0u64;
            for burst in 0..bursts {
                // The same numbers in every run, without a pattern that the engine could have too.
                let random = skyring::placement::hash_number(burst ^ u64::from(sink.0) << 32);
                for _ in 0..1 + random % 300 {
                    caller.send_payload(sink, numbered(sent))?;
                    sent += 1;
                }
                match random >> 32 & 3 {
                    0 => {}
                    milliseconds => caller.sleep(Duration::from_millis(milliseconds)).await,
                }
                if random >> 40 & 7 == 0 {
                    let had: u64 = caller.call(sink, &()).await?.unpack()?;
                    if had != sent {
                        return Err(Error::remote(format!("{sink} has had {had} of {sent} messages")));
                    }
                }
            }
            let had: u64 = caller.call(sink, &()).await?.unpack()?;
            match had == sent {
                true => Payload::pack(&()),
                false => Err(Error::remote(format!("{sink} has had {had} of {sent} messages"))),
            }
        })
    }
}
