//! Ten faults that people make in services, each of which the kit finds; and each corrected, with which it finds nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skyring::testing::{FaultKind, Faults, Run, Scenario};
use skyring::{Caller, Child, Context, Error, NodeBuilder, Restart, Strategy, Supervisor};

/// Seeds within which a fault has to be found.
const SEEDS_FAULTY: u64 = 200;

/// Seeds that find nothing in the corrected version.
const SEEDS_CORRECT: u64 = 20;

/// Runs both versions.
fn find(name: &str, faults: Faults, set_up: impl Fn(&mut Run, bool) -> Result<(), Error> + Clone + 'static) {
    let scenario = |is_faulty: bool| {
        let set_up = set_up.clone();
        Scenario::new(name, move |run| set_up(run, is_faulty)).faults(faults.clone())
    };
    match scenario(true).seeds(0..SEEDS_FAULTY).explore() {
        Ok(explored) => panic!("{name} was not found: {explored}"),
        Err(failure) => {
            println!("{failure}\n");
            assert!(failure.is_repeatable(), "{failure}");
        }
    }
    scenario(false).seeds(0..SEEDS_CORRECT).check();
}

/// What a test counts, in the memory of all its nodes.
type Count = Rc<Cell<u64>>;

/// What outlives a process, for a service.
type Stored<T> = Arc<Mutex<T>>;

fn change<T, R>(stored: &Stored<T>, change: impl FnOnce(&mut T) -> R) -> R {
    change(&mut stored.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A service that adds numbers to a stored sum, and breaks at 13.
struct Adder {
    sum: Stored<i64>,
    seen: Option<Stored<BTreeSet<u64>>>,
}

#[skyring::service]
impl Adder {
    fn add(&mut self, number: i64) -> i64 {
        assert_ne!(number, 13, "an unlucky number");
        change(&self.sum, |sum| {
            *sum += number;
            *sum
        })
    }

    /// Adds once for each identity, if identities are stored.
    fn add_once(&mut self, identity: u64, number: i64) -> i64 {
        let is_new = match &self.seen {
            Some(seen) => change(seen, |seen| seen.insert(identity)),
            None => true,
        };
        change(&self.sum, |sum| {
            *sum += if is_new { number } else { 0 };
            *sum
        })
    }
}

fn adder(sum: &Stored<i64>) -> Adder {
    Adder {
        sum: Arc::clone(sum),
        seen: None,
    }
}

/// The final check that a service answers.
fn answers(run: &mut Run, node: &str, of: &'static str) {
    run.finally("the service answers at the end", node, move |caller| async move {
        let adder = AdderClient::at(caller.node(of), "@adder");
        adder.add(0).await.map(drop).map_err(|error| error.to_string())
    });
}

fn client(run: &Run, name: &str) -> Result<(), Error> {
    run.node(name).start(|_| async { Ok(()) }).map(drop)
}

#[test]
fn a_missed_restart_is_found() {
    find("a missed restart", Faults::none(), |run, is_faulty| {
        let restart = if is_faulty {
            Restart::Never
        } else {
            Restart::Always
        };
        run.node("db").start(move |caller| async move {
            let child = Child::new("adder", |_| adder(&Arc::default()))
                .name("@adder")
                .restart(restart);
            let supervisor = Supervisor::new("db", Strategy::OneForOne)
                .intensity(100, Duration::from_secs(1))
                .child(child);
            caller.supervise(supervisor).await.map(drop)
        })?;
        client(run, "game")?;
        run.operations("game", 20, |caller, mut operation| async move {
            let adder = AdderClient::at(caller.node("db"), "@adder");
            // One that breaks it fails.
            let _ = adder.add(operation.random.below(20) as i64).await;
        });
        answers(run, "game", "db");
        Ok(())
    });
}

#[test]
fn a_repeated_call_that_was_not_idempotent_is_found() {
    find("a repeated call", Faults::all(), |run, is_faulty| {
        let (sum, seen): (Stored<i64>, Stored<BTreeSet<u64>>) = Default::default();
        let stored = Arc::clone(&sum);
        run.node("db").start(move |caller| {
            let (sum, seen) = (Arc::clone(&stored), Arc::clone(&seen));
            async move {
                let seen = (!is_faulty).then_some(seen);
                let adder = caller.launch(move |_| Adder { sum, seen }).await?;
                caller.cluster().register("adder", Some(adder))
            }
        })?;
        client(run, "game")?;
        let tried = Rc::new(Cell::new(0));
        let count = Rc::clone(&tried);
        run.operations("game", 20, move |caller, operation| {
            count.set(count.get() + 1);
            async move {
                let adder = AdderClient::at(caller.node("db"), "@adder");
                // "It may be lost, so once more."
                for _ in 0..3 {
                    if adder
                        .add_once(operation.number as u64, 1)
                        .timeout(Duration::from_millis(300))
                        .await
                        .is_ok()
                    {
                        return;
                    }
                }
            }
        });
        run.always("nothing is added twice", move || match change(&sum, |sum| *sum) {
            sum if sum > tried.get() => Err(format!("{sum} after {} additions", tried.get())),
            _ => Ok(()),
        });
        Ok(())
    });
}

#[test]
fn a_lost_name_is_found() {
    let faults = Faults::only(&[FaultKind::Kill, FaultKind::SwitchOff, FaultKind::Restart]);
    find("a lost name", faults, |run, is_faulty| {
        let starts: Count = Rc::default();
        run.node("db").start(move |caller| {
            // As if somebody had registered it by hand: that holds until the process ends.
            let is_named = !is_faulty || starts.replace(1) == 0;
            async move {
                let adder = caller.launch(|_| adder(&Arc::default())).await?;
                match is_named {
                    true => caller.cluster().register("adder", Some(adder)),
                    false => Ok(()),
                }
            }
        })?;
        client(run, "game")?;
        answers(run, "game", "db");
        Ok(())
    });
}

/// Gives sessions that expire.
struct Sessions {
    open: BTreeSet<u64>,
    is_faulty: bool,
    count: Arc<Mutex<usize>>,
}

#[skyring::service]
impl Sessions {
    fn open(&mut self, context: &Context<Self>, session: u64) {
        self.open.insert(session);
        self.note();
        if self.is_faulty && session.is_multiple_of(7) {
            // The early return that forgets the timer.
            return;
        }
        let expiring = context.clone();
        context.spawn(async move {
            expiring.sleep(Duration::from_secs(2)).await;
            expiring.update(|sessions| {
                sessions.open.remove(&session);
                sessions.note();
            });
        });
    }
}

impl Sessions {
    fn note(&self) {
        change(&self.count, |count| *count = self.open.len());
    }
}

#[test]
fn a_forgotten_timer_is_found() {
    find("a forgotten timer", Faults::none(), |run, is_faulty| {
        let count: Arc<Mutex<usize>> = Arc::default();
        let stored = Arc::clone(&count);
        run.node("db").start(move |caller| {
            let count = Arc::clone(&stored);
            async move {
                let open = BTreeSet::new();
                let sessions = caller
                    .launch(move |_| Sessions {
                        open,
                        is_faulty,
                        count,
                    })
                    .await?;
                caller.cluster().register("sessions", Some(sessions))
            }
        })?;
        run.operations("db", 20, |caller, mut operation| async move {
            let sessions = SessionsClient::at(caller, "@sessions");
            sessions
                .open(operation.random.below(1_000))
                .await
                .expect("it answers");
        });
        run.finally("all sessions expire", "db", move |_| async move {
            match change(&count, |count| *count) {
                0 => Ok(()),
                count => Err(format!("{count} are open for ever")),
            }
        });
        Ok(())
    });
}

/// Keeps a total, written to its store every so often, or at once.
struct Cached {
    total: i64,
    store: Stored<i64>,
    is_faulty: bool,
}

#[skyring::service]
impl Cached {
    #[start]
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        self.total = change(&self.store, |store| *store);
        let saver = context.clone();
        context.spawn(async move {
            let mut interval = saver.interval(Duration::from_millis(100));
            loop {
                interval.tick().await;
                saver.update(|cached| change(&cached.store, |store| *store = cached.total));
            }
        });
        Ok(())
    }

    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        if !self.is_faulty {
            change(&self.store, |store| *store = self.total);
        }
        self.total
    }
}

#[test]
fn an_answer_before_the_write_is_found() {
    let faults = Faults::only(&[FaultKind::Kill, FaultKind::SwitchOff]);
    find("an answer before the write", faults, |run, is_faulty| {
        let store: Stored<i64> = Arc::default();
        let stored = Arc::clone(&store);
        run.node("db").start(move |caller| {
            let store = Arc::clone(&stored);
            async move {
                let cached = caller
                    .launch(move |_| Cached {
                        total: 0,
                        store,
                        is_faulty,
                    })
                    .await?;
                caller.cluster().register("cached", Some(cached))
            }
        })?;
        client(run, "game")?;
        let answered: Rc<Cell<i64>> = Rc::default();
        let count = Rc::clone(&answered);
        run.operations("game", 20, move |caller, _| {
            let count = Rc::clone(&count);
            async move {
                let cached = CachedClient::at(caller.node("db"), "@cached");
                if cached.add(1).await.is_ok() {
                    count.set(count.get() + 1);
                }
            }
        });
        run.finally("what was answered is stored", "game", move |_| async move {
            match change(&store, |store| *store) {
                stored if stored < answered.get() => Err(format!("{stored} of {}", answered.get())),
                _ => Ok(()),
            }
        });
        Ok(())
    });
}

/// Counts with a pause between reading and writing.
#[derive(Default)]
struct Racing {
    total: i64,
}

#[skyring::service]
impl Racing {
    async fn add(context: &Context<Self>, number: i64, is_faulty: bool) -> i64 {
        let before = context.update(|racing| racing.total);
        context.sleep(Duration::from_millis(2)).await;
        context.update(|racing| {
            // Other messages were handled meanwhile.
            racing.total = number + if is_faulty { before } else { racing.total };
            racing.total
        })
    }
}

#[test]
fn a_state_that_changes_between_two_awaits_is_found() {
    find("a lost update", Faults::none(), |run, is_faulty| {
        run.node("db").start(|caller| async move {
            let racing = caller.launch(|_| Racing::default()).await?;
            caller.cluster().register("racing", Some(racing))
        })?;
        run.operations("db", 40, move |caller, _| async move {
            let racing = RacingClient::at(caller, "@racing");
            racing.add(1, is_faulty).await.expect("it answers");
        });
        run.finally("every addition counts", "db", move |caller| async move {
            let racing = RacingClient::at(caller, "@racing");
            match racing.add(0, false).await {
                Ok(40) => Ok(()),
                other => Err(format!("{other:?} of 40")),
            }
        });
        Ok(())
    });
}

#[test]
fn a_refund_of_what_may_have_run_is_found() {
    find("a wrong refund", Faults::all(), |run, is_faulty| {
        let (sum, spent): (Stored<i64>, Count) = Default::default();
        let stored = Arc::clone(&sum);
        run.node("db").start(move |caller| {
            let sum = Arc::clone(&stored);
            async move {
                let adder = caller.launch(move |_| adder(&sum)).await?;
                caller.cluster().register("adder", Some(adder))
            }
        })?;
        client(run, "game")?;
        let count = Rc::clone(&spent);
        run.operations("game", 30, move |caller, _| {
            let spent = Rc::clone(&count);
            async move {
                let adder = AdderClient::at(caller.node("db"), "@adder");
                spent.set(spent.get() + 1);
                if let Err(error) = adder.add(1).timeout(Duration::from_millis(200)).await
                    && (is_faulty || !error.may_have_run())
                {
                    spent.set(spent.get() - 1);
                }
            }
        });
        run.always("no more is bought than was spent", move || {
            match (change(&sum, |sum| *sum), spent.get() as i64) {
                (bought, spent) if bought > spent => Err(format!("{bought} bought, {spent} spent")),
                _ => Ok(()),
            }
        });
        Ok(())
    });
}

/// Grants a lock, for a time by its own clock or until it is given back.
#[derive(Default)]
struct Lock {
    holder: Option<u64>,
}

#[skyring::service]
impl Lock {
    fn acquire(&mut self, context: &Context<Self>, client: u64, lease_ms: u64) -> bool {
        if self.holder.is_some() {
            return false;
        }
        self.holder = Some(client);
        let expiring = context.clone();
        context.spawn(async move {
            expiring.sleep(Duration::from_millis(lease_ms)).await;
            expiring.update(|lock| lock.holder = lock.holder.filter(|holder| *holder != client));
        });
        true
    }
}

#[test]
fn a_lease_that_trusts_the_other_clock_is_found() {
    let faults = Faults::only(&[FaultKind::Clock, FaultKind::Delay, FaultKind::Stall]);
    find("a lease", faults, |run, is_faulty| {
        run.node("db").start(|caller| async move {
            let lock = caller.launch(|_| Lock::default()).await?;
            caller.cluster().register("lock", Some(lock))
        })?;
        client(run, "game")?;
        let holders: Count = Rc::default();
        let count = Rc::clone(&holders);
        run.operations("game", 40, move |caller, operation| {
            let holders = Rc::clone(&count);
            async move {
                let lock = LockClient::at(caller.node("db"), "@lock");
                // The careful client counts from before it asked, and allows for a clock that is four times as fast.
                let asked = caller.now();
                let Ok(true) = lock.acquire(operation.number as u64, 80).await else {
                    return;
                };
                let use_until = match is_faulty {
                    true => caller.now() + Duration::from_millis(80),
                    false => asked + Duration::from_millis(20),
                };
                if caller.now() < use_until {
                    holders.set(holders.get() + 1);
                    caller.sleep(use_until - caller.now()).await;
                    holders.set(holders.get() - 1);
                }
            }
        });
        run.always("one holds the lock", move || match holders.get() {
            0 | 1 => Ok(()),
            holders => Err(format!("{holders} hold it")),
        });
        Ok(())
    });
}

/// Follows a stream of numbered values.
#[derive(Default)]
struct Follower {
    values: Vec<u64>,
    is_faulty: bool,
    missed: Arc<Mutex<u64>>,
}

#[skyring::service]
impl Follower {
    #[send]
    fn push(&mut self, number: u64) {
        self.values.push(number);
        let is_in_order = self.values.windows(2).all(|pair| pair[0] < pair[1]);
        let missed = number + 1 - self.values.len() as u64;
        if !is_in_order || missed > 0 {
            change(&self.missed, |all| *all = missed);
        }
    }

    fn catch_up(&mut self, values: Vec<u64>) {
        if !self.is_faulty {
            self.values = values;
            change(&self.missed, |missed| *missed = 0);
        }
    }
}

#[test]
fn a_send_that_is_taken_for_certain_is_found() {
    find("a lost send", Faults::all(), |run, is_faulty| {
        let missed: Arc<Mutex<u64>> = Arc::default();
        let stored = Arc::clone(&missed);
        run.node("db").start(move |caller| {
            let follower = Follower {
                is_faulty,
                missed: Arc::clone(&stored),
                ..Follower::default()
            };
            async move {
                let follower = caller.launch(move |_| follower).await?;
                caller.cluster().register("follower", Some(follower))
            }
        })?;
        client(run, "game")?;
        let next: Count = Rc::default();
        let sent = Rc::clone(&next);
        run.operations("game", 30, move |caller, _| {
            let number = sent.replace(sent.get() + 1);
            async move {
                let follower = FollowerClient::at(caller.node("db"), "@follower");
                // A send to a node that is down is lost.
                let _ = follower.push(number);
            }
        });
        run.finally("the follower has all values", "game", move |caller| async move {
            let follower = FollowerClient::at(caller.node("db"), "@follower");
            let caught_up = follower.catch_up((0..next.get()).collect()).await;
            caught_up.map_err(|error| error.to_string())?;
            match change(&missed, |missed| *missed) {
                0 => Ok(()),
                missed => Err(format!("{missed} are missing")),
            }
        });
        Ok(())
    });
}

/// Elects whoever asks first, and tells the others.
#[derive(Default)]
struct Member {
    leader: Rc<RefCell<BTreeMap<String, String>>>,
}

/// Two nodes that each believe to be the leader when the other does not answer.
#[test]
fn two_leaders_after_a_cut_are_found() {
    async fn elect(
        caller: Caller,
        own: &'static str,
        other: &'static str,
        is_faulty: bool,
        member: Rc<Member>,
    ) {
        let state = caller.cluster().state(other);
        // The correct one has a fixed order, and leaves the rest to a person.
        let leads = match is_faulty {
            true => own == "a" || state == skyring::NodeState::Down,
            false => own == "a",
        };
        let mut leaders = member.leader.borrow_mut();
        match leads {
            true => drop(leaders.insert(own.to_owned(), own.to_owned())),
            false => drop(leaders.remove(own)),
        }
    }
    let faults = Faults::only(&[FaultKind::Stall, FaultKind::Silence]);
    find("two leaders", faults, |run, is_faulty| {
        let member = Rc::new(Member::default());
        for (own, other) in [("a", "b"), ("b", "a")] {
            let quick = || NodeBuilder::default().down_after(Duration::from_millis(200));
            run.node(own)
                .builder(quick)
                .start(move |caller| async move { caller.cluster().subscribe(other) })?;
            let member = Rc::clone(&member);
            run.operations(own, 40, move |caller, _| {
                elect(caller, own, other, is_faulty, Rc::clone(&member))
            });
        }
        run.always("one node leads", move || match member.leader.borrow().len() {
            0 | 1 => Ok(()),
            leaders => Err(format!("{leaders} lead")),
        });
        Ok(())
    });
}
