//! A message cut into the parts of the skynet dialect and read back, without a link.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use skyring_codec::outbuffer::OutBuffer;
use skyring_codec::skynet::{Address, Framer, decode_request, encode_request};

const BYTES: usize = 256 << 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    let payload = Bytes::from(vec![7; BYTES]);
    let mut group = criterion.benchmark_group("multi-part, 256 KiB");
    group.throughput(Throughput::Bytes(BYTES as u64));
    let mut out = OutBuffer::new();
    group.bench_function("encode", |bench| {
        bench.iter(|| {
            encode_request(&mut out, Address::Name(b"@sdb"), 7, black_box(&payload)).expect("it has room");
            out.clear();
        });
    });
    encode_request(&mut out, Address::Name(b"@sdb"), 7, &payload).expect("it has room");
    let mut slices = [std::io::IoSlice::new(&[]); 64];
    let shown = out.slices(&mut slices);
    let wire: Bytes = slices[..shown]
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect();
    group.bench_function("decode", |bench| {
        bench.iter(|| {
            let mut framer = Framer::new();
            framer.push(wire.clone());
            while let Some(package) = framer.next_package() {
                black_box(decode_request(package).expect("it was encoded here"));
            }
        });
    });
}
