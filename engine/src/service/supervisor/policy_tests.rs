//! Properties of the policy over random histories, in virtual time.

use std::time::Duration;

use skyring_codec::Millis;

use crate::config::{Restart, Strategy};
use crate::service::end::End;
use crate::service::supervisor::backoff::Backoff;
use crate::service::supervisor::policy::{Action, Policy, Reason, Rules};

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::RestForOne, Strategy::All];

fn rules(restart: Restart) -> Rules {
    Rules {
        restart,
        backoff: Backoff::new(Duration::from_millis(8), Duration::from_millis(64)),
        stop_timeout_ms: 30,
    }
}

fn panicked() -> End {
    End::Panicked { text: "boom".into() }
}

fn actions(policy: &mut Policy) -> Vec<Action> {
    std::iter::from_fn(|| policy.next_action()).collect()
}

/// A policy whose children all run.
fn running(strategy: Strategy, intensity: usize, restarts: &[Restart]) -> Policy {
    let rules = restarts.iter().map(|restart| rules(*restart)).collect();
    let mut policy = Policy::new(strategy, intensity, 1000, rules);
    policy.begin(0);
    for child in 0..restarts.len() {
        assert_eq!(actions(&mut policy), [Action::Start(child)]);
        policy.started(child, 0);
    }
    assert_eq!(actions(&mut policy), [Action::Ready]);
    policy
}

#[test]
fn one_for_one_restarts_only_the_child_that_ended_after_its_delay() {
    let mut policy = running(Strategy::OneForOne, 5, &[Restart::Always; 3]);
    policy.ended(1, &End::Exited, 10, 0);
    assert_eq!((actions(&mut policy), policy.deadline(10)), (vec![], Some(18)));
    policy.wake(17);
    assert_eq!(actions(&mut policy), []);
    policy.wake(18);
    assert_eq!(actions(&mut policy), [Action::Start(1)]);
}

#[test]
fn rest_for_one_stops_those_behind_in_reverse_and_starts_all_in_order() {
    let mut policy = running(Strategy::RestForOne, 5, &[Restart::Always; 4]);
    policy.ended(1, &panicked(), 10, 0);
    let stop = |child| Action::Stop { child, is_kept: true };
    assert_eq!(actions(&mut policy), [stop(3)]);
    policy.ended(3, &End::Exited, 11, 0);
    assert_eq!(actions(&mut policy), [stop(2)]);
    policy.ended(2, &End::Exited, 12, 0);
    policy.wake(18);
    for child in 1..4 {
        assert_eq!(actions(&mut policy), [Action::Start(child)]);
        policy.started(child, 19);
    }
    assert_eq!((actions(&mut policy), policy.deadline(19)), (vec![], None));
}

#[test]
fn a_child_that_does_not_stop_in_time_is_killed_once() {
    let mut policy = running(Strategy::All, 5, &[Restart::Always; 2]);
    policy.ended(0, &panicked(), 10, 0);
    assert_eq!(
        actions(&mut policy),
        [Action::Stop {
            child: 1,
            is_kept: true
        }]
    );
    policy.wake(39);
    assert_eq!(actions(&mut policy), []);
    policy.wake(40);
    policy.wake(41);
    assert_eq!(actions(&mut policy), [Action::Kill(1)]);
    policy.ended(1, &End::Killed, 42, 0);
    assert_eq!(actions(&mut policy), [Action::Start(0)]);
}

#[test]
fn a_transient_child_is_restarted_after_a_failure_and_a_temporary_one_never() {
    let mut policy = running(
        Strategy::OneForOne,
        5,
        &[Restart::OnFailure, Restart::OnFailure, Restart::Never],
    );
    policy.ended(0, &End::Exited, 10, 0);
    policy.ended(1, &panicked(), 10, 0);
    policy.ended(2, &panicked(), 10, 0);
    policy.wake(1000);
    assert_eq!(actions(&mut policy), [Action::Start(1)]);
    assert_eq!(
        [0, 1, 2].map(|child| policy.state_name(child)),
        ["ended", "starting", "ended"]
    );
}

#[test]
fn past_its_intensity_it_stops_everything_in_reverse_and_says_why() {
    let mut policy = running(Strategy::OneForOne, 1, &[Restart::Always; 3]);
    policy.ended(0, &panicked(), 10, 0);
    policy.wake(18);
    policy.started(0, 18);
    let _ = actions(&mut policy);
    policy.ended(0, &panicked(), 20, 0);
    let stop = |child| Action::Stop {
        child,
        is_kept: false,
    };
    assert_eq!(actions(&mut policy), [Action::GiveUp(0), stop(2)]);
    policy.ended(2, &End::Exited, 21, 0);
    assert_eq!(actions(&mut policy), [stop(1)]);
    policy.ended(1, &End::Exited, 22, 0);
    let last = actions(&mut policy).pop();
    let Some(Action::Done(Reason::Escalated(text))) = last else {
        panic!("{last:?}");
    };
    assert!(
        text.contains("more than 1 restarts within 1000 ms") && text.contains("boom"),
        "{text}"
    );
}

#[test]
fn restarts_that_are_older_than_the_period_do_not_count() {
    let mut policy = running(Strategy::OneForOne, 1, &[Restart::Always]);
    for round in 1..50 {
        policy.ended(0, &panicked(), round * 1000, 0);
        policy.wake(round * 1000 + 64);
        assert_eq!(actions(&mut policy), [Action::Start(0)], "round {round}");
        policy.started(0, round * 1000 + 64);
    }
}

#[test]
fn restarts_in_the_first_millisecond_of_the_clock_count_too() {
    let mut policy = running(Strategy::OneForOne, 1, &[Restart::Always]);
    policy.ended(0, &panicked(), 0, 0);
    policy.wake(8);
    policy.started(0, 8);
    let _ = actions(&mut policy);
    policy.ended(0, &panicked(), 9, 0);
    assert!(matches!(
        actions(&mut policy).pop(),
        Some(Action::Done(Reason::Escalated(_)))
    ));
}

#[test]
fn a_child_that_does_not_start_the_first_time_ends_those_before_it() {
    let mut policy = Policy::new(Strategy::OneForOne, 5, 1000, vec![rules(Restart::Always); 3]);
    policy.begin(0);
    policy.started(0, 0);
    let _ = actions(&mut policy);
    policy.start_failed(1, "no disk", 1, 0);
    assert_eq!(
        actions(&mut policy),
        [
            Action::GiveUp(1),
            Action::Stop {
                child: 0,
                is_kept: false
            }
        ]
    );
    policy.ended(0, &End::Exited, 2, 0);
    let reason = Reason::StartFailed("no disk".to_owned());
    assert_eq!(actions(&mut policy).pop(), Some(Action::Done(reason)));
}

/// A small generator of numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Real {
    Down,
    Starting,
    Running,
    Stopping,
}

/// What a shard would do, with faults from a seed.
struct World {
    random: Random,
    strategy: Strategy,
    restarts: Vec<Restart>,
    real: Vec<Real>,
    is_ready: bool,
    is_done: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let count = 1 + random.next(5) as usize;
        let kinds = [Restart::Always, Restart::OnFailure, Restart::Never];
        World {
            strategy: STRATEGIES[random.next(3) as usize],
            restarts: (0..count).map(|_| kinds[random.next(3) as usize]).collect(),
            real: vec![Real::Down; count],
            is_ready: false,
            is_done: false,
            random,
        }
    }

    /// Does what the policy says, and checks that it may say so.
    fn obey(&mut self, policy: &mut Policy) {
        for action in actions(policy) {
            assert!(!self.is_done, "{action:?} after the end");
            match action {
                Action::Start(child) => {
                    assert_eq!(self.real[child], Real::Down);
                    if !self.is_ready || self.strategy != Strategy::OneForOne {
                        let starting = self.real.iter().filter(|real| **real == Real::Starting).count();
                        assert_eq!(starting, 0, "one after the other");
                    }
                    self.real[child] = Real::Starting;
                }
                Action::Stop { child, .. } => {
                    assert_eq!(self.real[child], Real::Running);
                    assert!(!self.real.contains(&Real::Stopping), "one after the other");
                    self.real[child] = Real::Stopping;
                }
                Action::Kill(child) => assert_eq!(self.real[child], Real::Stopping),
                Action::GiveUp(child) => assert_ne!(self.real[child], Real::Running),
                Action::Ready => self.is_ready = true,
                Action::Done(_) => {
                    assert!(self.real.iter().all(|real| *real == Real::Down));
                    self.is_done = true;
                }
            }
        }
    }

    /// One event of a random child.
    fn happen(&mut self, policy: &mut Policy, now: Millis) {
        let child = self.random.next(self.real.len() as u64) as usize;
        let random = self.random.next(u64::from(u32::MAX));
        match self.real[child] {
            Real::Down => {}
            Real::Starting if self.random.next(12) == 0 => {
                self.real[child] = Real::Down;
                policy.start_failed(child, "no", now, random);
            }
            Real::Starting => {
                self.real[child] = Real::Running;
                policy.started(child, now);
            }
            Real::Running if self.random.next(6) == 0 => {
                self.real[child] = Real::Down;
                let end = [End::Exited, panicked(), End::Killed][self.random.next(3) as usize].clone();
                policy.ended(child, &end, now, random);
            }
            Real::Running => {}
            Real::Stopping => {
                self.real[child] = Real::Down;
                policy.ended(child, &End::Exited, now, random);
            }
        }
    }
}

#[test]
fn random_histories_keep_the_invariants_and_come_to_rest() {
    let (mut escalated, mut stopped, mut rested) = (0, 0, 0);
    for seed in 0..3_000 {
        let mut world = World::new(seed);
        let intensity = 1 + world.random.next(6) as usize;
        let all = world.restarts.iter().map(|restart| rules(*restart)).collect();
        let mut policy = Policy::new(world.strategy, intensity, 100, all);
        let mut now = 0;
        policy.begin(now);
        world.obey(&mut policy);
        for _ in 0..300 {
            now += world.random.next(20);
            world.happen(&mut policy, now);
            world.obey(&mut policy);
            policy.wake(now);
            world.obey(&mut policy);
            let counted = policy.restarts();
            assert!(
                counted.len() <= intensity && counted.iter().is_sorted(),
                "seed {seed}"
            );
            let restarts = counted.iter().filter(|time| **time + 100 > now).count();
            assert!(world.is_done || restarts <= intensity, "seed {seed}");
        }
        escalated += u32::from(world.is_done);
        // Nothing fails any more: either everything that should run does, or the supervisor stops.
        if !world.is_done && seed % 2 == 0 {
            policy.stop(now);
            world.obey(&mut policy);
        }
        for _ in 0..1_000 {
            now += 5;
            policy.wake(now);
            world.obey(&mut policy);
            for child in 0..world.real.len() {
                match world.real[child] {
                    Real::Starting => {
                        world.real[child] = Real::Running;
                        policy.started(child, now);
                    }
                    Real::Stopping => {
                        world.real[child] = Real::Down;
                        policy.ended(child, &End::Killed, now, 0);
                    }
                    Real::Down | Real::Running => {}
                }
                world.obey(&mut policy);
            }
        }
        if world.is_done {
            stopped += 1;
            assert_eq!(policy.deadline(now), None, "seed {seed}");
            continue;
        }
        rested += 1;
        for (child, restart) in world.restarts.iter().enumerate() {
            let state = policy.state_name(child);
            assert!(
                state == "running" || (state == "ended" && *restart != Restart::Always),
                "seed {seed}: {state}"
            );
        }
        assert_eq!(policy.deadline(now), None, "seed {seed}");
    }
    assert!(
        escalated > 300 && stopped > 1_500 && rested > 300,
        "{escalated} {stopped} {rested}"
    );
}
