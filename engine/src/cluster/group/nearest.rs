//! The round trip to each member of a group: measured periodically, with a request that costs the member almost
//! nothing.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;

use crate::cluster::group::choice::Health;
use crate::cluster::group::table::Member;
use crate::config::Policy;
use crate::config::WhenDown;
use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::payload::Payload;
use crate::core::request::Outgoing;
use crate::core::spans::SpanKey;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::rt;

/// Time between two measurements of all members.
const MEASURE_PAUSE: Duration = Duration::from_secs(2);

/// How long a measurement waits for an answer, in milliseconds.
const ANSWER_TIME_MS_MAX: Millis = 1_000;

/// A name that does not exist: any node, a Skynet node too, answers that at once, and no service runs.
const PROBE_NAME: &str = "skyring.near";

/// Measures the members of a group until the group is gone.
pub(super) async fn measure(shard: Rc<ShardCore>, name: Text) {
    loop {
        let group = shard.cluster().groups.get(&name);
        let Some(group) = group.filter(|group| group.policy == Policy::Nearest) else {
            return;
        };
        if shard.stopping.get() {
            return;
        }
        for member in &group.members {
            if member.health.get() == Health::Good {
                measure_one(&shard, member).await;
            }
        }
        shard.cluster().publish_switch(&shard, &group);
        drop(group);
        rt::timer::sleep(MEASURE_PAUSE).await;
        shard.note_io_polled();
    }
}

async fn measure_one(shard: &Rc<ShardCore>, member: &Member) {
    let began = rt::now();
    let deadline = shard.now() + ANSWER_TIME_MS_MAX;
    // The channel enforces the deadline.
    let key = shard.insert_waiter(None);
    let Ok(mut payload) = Payload::pack(PROBE_NAME) else {
        return shard.remove_waiter(key);
    };
    shard.request_by_route(
        &member.route,
        Outgoing {
            address: &Address::Handle(Handle::NONE),
            source: Handle::NONE,
            key: 0,
            payload: &mut payload,
            reply_to: shard.waiter(key),
            deadline: Some(deadline),
            timeout_ms: ANSWER_TIME_MS_MAX,
            waits: false,
            is_idempotent: false,
            span: SpanKey::NONE,
            when_down: Some(WhenDown::Fail),
        },
    );
    let answer = shard.wait(key).await;
    if !matches!(answer, Outcome::Answer(Ok(_) | Err(Error::NoSuchService { .. }))) {
        return;
    }
    let time = rt::now().saturating_duration_since(began);
    // The shortest time counts, because additional time is queueing; it is forgotten slowly, because routes change.
    let shortest = member.round_trip.get();
    member.round_trip.set(Some(match shortest {
        Some(shortest) if shortest < time => shortest + (time - shortest) / 8,
        _ => time,
    }));
}
