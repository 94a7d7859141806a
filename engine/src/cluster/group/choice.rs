//! The policies that choose the member of a group for a message: pure functions.

use std::time::Duration;

use crate::config::Policy;
use crate::core::placement::{hash_number, member_of_key};

/// The health of a member, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cluster) enum Health {
    /// It is up, or its state is not known.
    Good,
    /// It has just lost its connection. If it reconnects in a moment, callers stay with it.
    Paused,
    /// It is suspect.
    Suspect,
    /// It is down, turned off, or not in the map.
    Down,
}

impl Health {
    /// Its rank among members: for a steady policy, a short pause does not count.
    fn rank(self, is_steady: bool) -> Health {
        match self {
            Health::Paused if is_steady => Health::Good,
            Health::Paused => Health::Suspect,
            other => other,
        }
    }
}

/// The properties of a member that a choice depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    pub(super) health: Health,
    /// The calls of this shard in flight there.
    pub(super) in_flight: u32,
    /// The shortest round trip; `None` = not measured yet.
    pub(super) round_trip: Option<Duration>,
    /// It is in the region of this node.
    pub(super) is_own_region: bool,
}

/// The other inputs of a choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChoiceContext {
    /// The message's key.
    pub(super) key: u64,
    /// The number of choices of the group so far.
    pub(super) count: u64,
    /// The nearest member at the last choice.
    pub(super) nearest: usize,
}

/// Another member becomes the nearest when its round trip is at most this part of the current one's, in tenths, and
/// shorter by [`NEARER_BY_MIN`]: otherwise two that are equally near would alternate, and callers with them.
const NEARER_TENTHS: u32 = 7;

/// See [`NEARER_TENTHS`].
const NEARER_BY_MIN: Duration = Duration::from_micros(200);

/// Chooses one of `members` members, none of those in `tried`, one bit each; `None` = all are tried. Allocates
/// nothing: every message to a group passes here.
pub(super) fn choose<'a>(
    policy: Policy,
    members: usize,
    candidate: impl Fn(usize) -> Candidate<'a>,
    tried: u64,
    context: ChoiceContext,
) -> Option<usize> {
    let is_steady = policy.is_steady();
    let rank = |index: usize| candidate(index).health.rank(is_steady);
    let untried = || (0..members).filter(|index| tried & (1 << index) == 0);
    let best = untried().map(rank).min()?;
    let eligible = || untried().filter(|index| rank(*index) == best);
    let nth = |number: u64| eligible().nth((number % eligible().count().max(1) as u64) as usize);
    match policy {
        Policy::Failover => eligible().next(),
        Policy::Random => nth(hash_number(context.count ^ context.key.rotate_left(32))),
        Policy::RoundRobin => nth(context.count),
        Policy::LeastInFlight => eligible().min_by_key(|index| candidate(*index).in_flight),
        Policy::Hash => {
            let drawn = member_of_key(context.key, eligible().map(|index| candidate(index).name))?;
            eligible().nth(drawn)
        }
        Policy::Nearest => {
            let has_own = eligible().any(|index| candidate(index).is_own_region);
            let near = || eligible().filter(|index| candidate(*index).is_own_region || !has_own);
            let time_of = |index: usize| Some((candidate(index).round_trip?, index));
            let Some((shortest, shortest_index)) = near().filter_map(time_of).min() else {
                return near().next();
            };
            let current = near().find(|index| *index == context.nearest);
            Some(match current.and_then(time_of) {
                Some((time, index)) if !is_clearly_shorter(shortest, time) => index,
                _ => shortest_index,
            })
        }
    }
}

fn is_clearly_shorter(time: Duration, than: Duration) -> bool {
    time * 10 <= than * NEARER_TENTHS && time + NEARER_BY_MIN <= than
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Down, Good, Paused, Suspect};

    fn members(healths: &[Health]) -> Vec<Candidate<'static>> {
        const NAMES: [&str; 4] = ["db1", "db2", "db3", "db4"];
        healths
            .iter()
            .zip(NAMES)
            .map(|(health, name)| Candidate {
                name,
                health: *health,
                in_flight: 0,
                round_trip: None,
                is_own_region: false,
            })
            .collect()
    }

    fn at(key: u64, count: u64) -> ChoiceContext {
        ChoiceContext {
            key,
            count,
            nearest: 0,
        }
    }

    fn pick(policy: Policy, members: &[Candidate<'_>], tried: u64, context: ChoiceContext) -> Option<usize> {
        choose(policy, members.len(), |index| members[index], tried, context)
    }

    fn chosen(policy: Policy, members: &[Candidate<'_>]) -> Vec<usize> {
        let mut chosen: Vec<usize> = (0..1_000)
            .filter_map(|number| pick(policy, members, 0, at(number, number)))
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    #[test]
    fn no_policy_chooses_a_member_while_there_is_a_healthier_one() {
        for policy in Policy::ALL {
            for (healths, expected) in [
                ([Down, Suspect, Good], vec![2]),
                ([Down, Suspect, Down], vec![1]),
                ([Suspect, Down, Down], vec![0]),
            ] {
                assert_eq!(chosen(policy, &members(&healths)), expected, "{policy}");
            }
            let all_down = members(&[Down, Down]);
            assert!(pick(policy, &all_down, 0, at(1, 1)).is_some(), "{policy}");
            assert_eq!(pick(policy, &all_down, 0b11, at(1, 1)), None, "{policy}");
            assert_eq!(pick(policy, &all_down, 0b01, at(1, 1)), Some(1), "{policy}");
        }
    }

    #[test]
    fn a_pause_moves_no_caller_of_a_steady_policy() {
        for policy in Policy::ALL {
            let before = pick(policy, &members(&[Good, Good]), 0, at(7, 0));
            let mut paused = members(&[Good, Good]);
            paused[before.unwrap()].health = Paused;
            let after = pick(policy, &paused, 0, at(7, 0));
            assert_eq!(before == after, policy.is_steady(), "{policy}");
        }
    }

    #[test]
    fn failover_takes_the_first_and_the_others_spread() {
        let all = members(&[Good, Good, Good]);
        assert_eq!(chosen(Policy::Failover, &all), [0]);
        for policy in [Policy::Random, Policy::RoundRobin, Policy::Hash] {
            assert_eq!(chosen(policy, &all), [0, 1, 2], "{policy}");
        }
        let in_turn: Vec<usize> = (0..6)
            .filter_map(|count| pick(Policy::RoundRobin, &all, 0, at(9, count)))
            .collect();
        assert_eq!(in_turn, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn least_in_flight_chooses_the_member_with_the_fewest_calls() {
        let mut all = members(&[Good, Good, Good]);
        for (member, in_flight) in all.iter_mut().zip([5, 2, 9]) {
            member.in_flight = in_flight;
        }
        assert_eq!(pick(Policy::LeastInFlight, &all, 0, at(0, 0)), Some(1));
    }

    #[test]
    fn nearest_prefers_the_own_region_then_the_shortest_round_trip_and_ignores_small_differences() {
        let mut all = members(&[Good, Good, Good]);
        let nearest = |all: &[Candidate<'_>], nearest| {
            let context = ChoiceContext {
                key: 0,
                count: 0,
                nearest,
            };
            pick(Policy::Nearest, all, 0, context).unwrap()
        };
        let ms = |milliseconds| Some(Duration::from_millis(milliseconds));
        assert_eq!(nearest(&all, 0), 0);
        for (member, time) in all.iter_mut().zip([ms(30), ms(3), ms(4)]) {
            member.round_trip = time;
        }
        assert_eq!(nearest(&all, 0), 1);
        // Three milliseconds are less than four, but not clearly.
        assert_eq!(nearest(&all, 2), 2);
        all[0].is_own_region = true;
        assert_eq!(nearest(&all, 1), 0);
        all[0].health = Down;
        assert_eq!(nearest(&all, 0), 1);
    }
}
