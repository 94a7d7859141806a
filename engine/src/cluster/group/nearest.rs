//! How near the members of a group are: the round trip of a question that costs them nothing, asked again and again.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::Policy;
use crate::error::{Error, Text};
use crate::rt;
use crate::service::call::Call;
use crate::service::handle::{Address, Handle};
use crate::service::message::Payload;
use crate::shard::Shard;

use super::Member;
use super::choice::Standing;

/// Time between two measurements of all members.
const MEASURE_PAUSE: Duration = Duration::from_secs(2);

/// How long an answer is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// A name that nobody has: any node, a Skynet node too, says so at once, and no service is bothered.
const QUESTION: &str = "skyring.near";

/// Measures the members of a group until there is no such group any more.
pub(super) async fn measure(shard: Rc<Shard>, name: Text) {
    loop {
        let group = shard.cluster.groups.get(&name);
        let Some(group) = group.filter(|group| group.policy == Policy::Nearest) else {
            return;
        };
        if shard.stopping.get() {
            return;
        }
        for member in &group.members {
            if member.standing.get() == Standing::Good {
                measure_one(&shard, member).await;
            }
        }
        shard.cluster.announce_switch(&shard, &group);
        drop(group);
        rt::timer::sleep(MEASURE_PAUSE).await;
        shard.io_seen();
    }
}

async fn measure_one(shard: &Rc<Shard>, member: &Member) {
    let begun = Instant::now();
    let route = Some(Rc::clone(&member.route));
    let address = Address::Handle(Handle::NONE);
    let question = Call::new(
        Rc::clone(shard),
        Handle::NONE,
        route,
        0,
        address,
        Payload::pack(QUESTION),
    );
    let answer = question.timeout(ANSWER_TIME_MAX).await;
    if !matches!(answer, Ok(_) | Err(Error::NoSuchService { .. })) {
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
