//! Packing and unpacking the values of a small call.

use std::hint::black_box;

use criterion::Criterion;
use skyring::Payload;
use skyring_codec::seri;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.bench_function("pack (\"GET\", key)", |bench| {
        bench.iter(|| seri::pack(black_box(&("GET", "player:10086"))));
    });
    group.bench_function("pack (\"GET\", key) as a payload", |bench| {
        bench.iter(|| Payload::pack(black_box(&("GET", "player:10086"))));
    });
    let packed = seri::pack(&("GET", "player:10086")).expect("two short strings can be packed");
    group.bench_function("unpack (\"GET\", key)", |bench| {
        bench.iter(|| seri::unpack::<(&str, &str)>(black_box(&packed)).map(|(_, key)| key.len()));
    });
}
