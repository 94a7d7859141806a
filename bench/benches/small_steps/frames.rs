//! The header in front of each frame of the native dialect.

use std::hint::black_box;

use criterion::Criterion;
use skyring_codec::native::{FrameKind, Header};

pub(crate) fn benches(criterion: &mut Criterion) {
    let header = Header {
        length: 70,
        is_target_name: true,
        session: 0x0012_3456,
        target: 5,
        source: 10,
        remaining_ms: 30_000,
        ..Header::new(FrameKind::Call)
    };
    let mut group = criterion.benchmark_group("header");
    group.bench_function("encode", |bench| bench.iter(|| black_box(&header).encode()));
    let bytes = header.encode();
    group.bench_function("decode", |bench| bench.iter(|| Header::decode(black_box(&bytes))));
}
