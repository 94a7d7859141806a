//! The report of a shard for the status of its node, put together from its rooms.

use std::rc::Rc;

use rustix::time::{ClockId, clock_gettime};

use crate::core::ShardCore;
use crate::status::{ShardReport, ShardStatus};

/// The report of this shard. It runs on the shard's thread, between messages.
pub(super) fn report(shard: &Rc<ShardCore>) -> ShardReport {
    let (services, cluster) = (shard.services().status(shard), shard.cluster());
    let (channels, channels_omitted) = cluster.channel_statuses(shard);
    let figures = &shard.figures;
    let time = clock_gettime(ClockId::ThreadCPUTime);
    ShardReport {
        shard: ShardStatus {
            shard: shard.index,
            is_answering: true,
            // Known to whoever has asked.
            inbox_age_us: 0,
            inbox_depth: shard.inbox_depth() as u64,
            turns: figures.turns.get(),
            processor_ns: time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs(),
            messages_crossed: figures.messages_crossed.get(),
            sleeps_rescued: figures.sleeps_rescued.get(),
            waiters: shard.waiters() as u64,
            services: services.total,
        },
        services,
        channels,
        channels_omitted,
        inbound: cluster.inbound_status(shard),
        cluster: (shard.index == 0).then(|| cluster.status(shard)),
    }
}
