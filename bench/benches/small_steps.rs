//! The small steps that every call is made of, each by itself: packing and unpacking, both ends of a link
//! in memory, a timer set and cancelled, and a call to a service of the same shard.
//!
//! `cargo bench -p skyring-bench`. They say where time goes; what a call costs, `skyring bench` says.

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use skyring::log::Destination;
use skyring::{Node, Payload};
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerLimits, CallerLink, CallerRequest, Inbound};
use skyring_codec::seri;
use skyring_codec::skynet::Address;
use skyring_codec::wheel::TimerWheel;
use skyring_services::Echo;

/// Slices that one pass of the link bench looks at; its messages need one.
const SLICES: usize = 4;

fn values(criterion: &mut Criterion) {
    criterion.bench_function("pack (\"GET\", key)", |bench| {
        bench.iter(|| seri::pack(black_box(&("GET", "player:10086"))));
    });
    let packed = seri::pack(&("GET", "player:10086")).expect("two short strings can be packed");
    criterion.bench_function("unpack (\"GET\", key)", |bench| {
        bench.iter(|| seri::unpack::<(&str, &str)>(black_box(&packed)).map(|(_, key)| key.len()));
    });
}

fn link(criterion: &mut Criterion) {
    let payload = seri::pack(&("GET", "player:10086")).expect("two short strings can be packed");
    let mut caller = CallerLink::new(CallerLimits::default());
    let mut callee = CalleeLink::new(CalleeLimits::default());
    caller.connected();
    criterion.bench_function("link: call, request, response, reply", |bench| {
        bench.iter(|| {
            let request = CallerRequest {
                address: Address::Name(b"@sdb"),
                source: 0,
                key: 0,
                payload: payload.clone(),
                deadline: Some(1_000),
                token: Some(1),
                is_idempotent: false,
            };
            caller.request(0, request).expect("the link is empty");
            let mut slices = [IoSlice::new(&[]); SLICES];
            let shown = caller.transmit(&mut slices);
            let request = joined(&slices[..shown]);
            caller.transmitted(request.len());
            callee.receive(request);
            while let Some(Inbound::Request(request)) = callee.poll_inbound().expect("a caller link wrote it")
            {
                callee.respond(request.session, Ok(request.payload));
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let shown = callee.transmit(&mut slices);
            let response = joined(&slices[..shown]);
            callee.transmitted(response.len());
            caller.receive(response);
            while let Some(event) = caller.poll_event(0).expect("a callee link wrote it") {
                black_box(event);
            }
        });
    });
}

/// What the kernel does between two sockets.
fn joined(slices: &[IoSlice<'_>]) -> Bytes {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

fn timers(criterion: &mut Criterion) {
    let mut wheel = TimerWheel::new(0);
    // Others are under way, as on a busy shard.
    for deadline in 0..10_000u64 {
        wheel.insert(deadline * 7 + 1, deadline);
    }
    criterion.bench_function("timer: insert and cancel", |bench| {
        bench.iter(|| {
            let key = wheel.insert(black_box(30_000), 0);
            wheel.cancel(key)
        });
    });
}

fn same_shard(criterion: &mut Criterion) {
    let node = Node::builder()
        .log_to(Destination::File("/dev/null".into()))
        .start()
        .expect("a node with one shard");
    criterion.bench_function("call on the same shard", |bench| {
        bench.iter_custom(|calls| {
            let measured = node.block_on(move |caller| async move {
                let echo = caller.launch(|_| Echo).await?;
                let payload = Payload::pack(&("GET", "player:10086"))?;
                let started = Instant::now();
                for _ in 0..calls {
                    caller.call_payload(echo, Ok(payload.clone())).await?;
                }
                Ok::<_, skyring::Error>(started.elapsed())
            });
            measured.expect("the node runs").expect("echo answers")
        });
    });
}

criterion_group!(benches, values, link, timers, same_shard);
criterion_main!(benches);
