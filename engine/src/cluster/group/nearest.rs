//! How near the members of a group are: the round trip of a question that costs them nothing, asked again and again.

use std::rc::Rc;
use std::time::{Duration, Instant};

use skyring_codec::Millis;

use crate::cluster::group::choice::Health;
use crate::cluster::group::table::Member;
use crate::config::Policy;
use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::payload::Payload;
use crate::core::request::Outgoing;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::rt;

/// Time between two measurements of all members.
const MEASURE_PAUSE: Duration = Duration::from_secs(2);

/// How long an answer is waited for, in milliseconds.
const ANSWER_TIME_MS_MAX: Millis = 1_000;

/// A name that nobody has: any node, a Skynet node too, says so at once, and no service is bothered.
const QUESTION: &str = "skyring.near";

/// Measures the members of a group until there is no such group any more.
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
        shard.cluster().announce_switch(&shard, &group);
        drop(group);
        rt::timer::sleep(MEASURE_PAUSE).await;
        shard.io_seen();
    }
}

async fn measure_one(shard: &Rc<ShardCore>, member: &Member) {
    let begun = Instant::now();
    let deadline = shard.now() + ANSWER_TIME_MS_MAX;
    // The channel keeps the deadline.
    let key = shard.insert_waiter(None);
    let Ok(mut payload) = Payload::pack(QUESTION) else {
        return shard.forget_waiter(key);
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
        },
    );
    let answer = shard.wait(key).await;
    if !matches!(answer, Outcome::Answer(Ok(_) | Err(Error::NoSuchService { .. }))) {
        return;
    }
    let time = begun.elapsed();
    // The shortest counts, because whatever comes on top is not the way; and is forgotten slowly, because ways change.
    let known = member.round_trip.get();
    member.round_trip.set(Some(match known {
        Some(known) if known < time => known + (time - known) / 8,
        _ => time,
    }));
}
