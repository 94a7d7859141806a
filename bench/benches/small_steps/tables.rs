//! What a call is entered in while it waits: the timer wheel and the slab of those that wait.

use std::hint::black_box;

use criterion::Criterion;
use skyring_codec::wheel::TimerWheel;

use crate::slab::{Key, Slab};

/// Other entries in the tables, as on a busy shard.
const OTHERS: u64 = 10_000;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut wheel = TimerWheel::new(0);
    for deadline in 0..OTHERS {
        wheel.insert(deadline * 7 + 1, deadline);
    }
    let mut group = criterion.benchmark_group("timer wheel");
    group.bench_function("insert and cancel", |bench| {
        bench.iter(|| {
            let key = wheel.insert(black_box(30_000), 0);
            wheel.cancel(key)
        });
    });
    let mut now = 0;
    let mut wheel = TimerWheel::new(now);
    group.bench_function("insert and expire", |bench| {
        bench.iter(|| {
            now += 1;
            wheel.insert(black_box(now), 0u64);
            while let Some(expired) = wheel.poll(now) {
                black_box(expired);
            }
        });
    });
    group.finish();

    let mut slab = Slab::default();
    let others: Vec<Key> = (0..OTHERS).map(|number| slab.insert(number)).collect();
    let mut group = criterion.benchmark_group("session slab");
    group.bench_function("insert and remove", |bench| {
        bench.iter(|| {
            // Through a plain number, as a token passes through a link.
            let token = slab.insert(black_box(7)).to_u64();
            slab.remove(Key::from_u64(token))
        });
    });
    let mut at = 0;
    group.bench_function("look up", |bench| {
        bench.iter(|| {
            at = (at + 7) % others.len();
            slab.get(black_box(others[at])).copied()
        });
    });
    group.bench_function("change", |bench| {
        bench.iter(|| {
            at = (at + 7) % others.len();
            if let Some(entry) = slab.get_mut(black_box(others[at])) {
                *entry += 1;
            }
        });
    });
    assert_eq!(slab.len() as u64, OTHERS);
}
