//! A profile names the function in which a process spends its time; without one there is an error with the cause.

use std::hint::black_box;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use skyring_bench::{ProfileError, Profiled, Profiling, Recorder};

/// Set for the process that is profiled, which is this program again.
const BUSY: &str = "SKYRING_TEST_IS_BUSY";

/// How long a busy process is profiled at most until it has a sample.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Set for the process whose waits are profiled, which is this program again.
const WAITS: &str = "SKYRING_TEST_WAITS";

/// How long that one sleeps at a time.
const SLEEP: Duration = Duration::from_millis(20);

/// Ends the process with the test, however that ends.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Busy {
    fn start() -> Busy {
        Busy::run("a_busy_process_is_busy", BUSY)
    }

    fn run(test: &str, variable: &str) -> Busy {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .args(["--exact", test, "--nocapture"])
            .env(variable, "1")
            .spawn();
        Busy(child.expect("it starts"))
    }

    fn profiled(&self) -> Vec<Profiled> {
        vec![Profiled {
            process: self.0.id(),
            name: "busy".to_owned(),
        }]
    }
}

#[inline(never)]
fn spends_all_the_time(time: Duration) -> u64 {
    let (started, mut number) = (Instant::now(), 1u64);
    while started.elapsed() < time {
        for _ in 0..100_000 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    number
}

#[test]
fn a_busy_process_is_busy() {
    if std::env::var_os(BUSY).is_some() {
        black_box(spends_all_the_time(TIME_MAX));
    }
}

#[inline(never)]
fn waits_for_a_known_time(sleeps: u32) {
    for _ in 0..sleeps {
        std::thread::sleep(SLEEP);
    }
}

#[test]
fn a_waiting_process_waits() {
    if std::env::var_os(WAITS).is_some() {
        let started = Instant::now();
        while started.elapsed() < TIME_MAX {
            waits_for_a_known_time(10);
        }
    }
}

/// Whether this machine allows profiles: containers often do not, and then only the errors can be tested.
fn is_allowed(started: &Result<Recorder, ProfileError>) -> bool {
    !matches!(
        started,
        Err(ProfileError::Paranoid(_)
            | ProfileError::Forbidden(_)
            | ProfileError::Unsupported
            | ProfileError::WaitingHidden(_))
    )
}

#[test]
fn a_profile_names_the_function_that_uses_the_processor() {
    let busy = Busy::start();
    let started = Instant::now();
    loop {
        let recorder = Recorder::start(busy.profiled(), Profiling::Processor, 499);
        if !is_allowed(&recorder) {
            return;
        }
        std::thread::sleep(Duration::from_millis(300));
        let profile = recorder.expect("it is sampled").stop();
        let found = profile.as_ref().is_ok_and(|profile| {
            let stacks = profile.stacks.iter();
            let ours = stacks.filter(|(stack, _)| stack.contains("spends_all_the_time"));
            // Unwound to the beginning of the thread, under the name of the process.
            ours.clone()
                .any(|(stack, _)| stack.starts_with("busy;") && stack.contains("a_busy_process_is_busy"))
                && ours.map(|(_, count)| count).sum::<u64>() * 2 > profile.samples()
        });
        if found {
            let svg = profile.expect("it was found").to_svg("busy").expect("a graph");
            let svg = String::from_utf8(svg).expect("text");
            assert!(svg.contains("profile::spends_all_the_time"), "{svg}");
            return;
        }
        assert!(started.elapsed() < TIME_MAX, "{profile:?}");
    }
}

#[test]
fn a_profile_of_waiting_names_the_function_that_waits_and_how_long() {
    let waiting = Busy::run("a_waiting_process_waits", WAITS);
    let started = Instant::now();
    loop {
        let begun = Instant::now();
        let recorder = Recorder::start(waiting.profiled(), Profiling::Waiting, 499);
        if !is_allowed(&recorder) {
            return;
        }
        let time = Duration::from_millis(500);
        std::thread::sleep(time);
        let profile = recorder.expect("its waits are sampled").stop();
        let all = begun.elapsed();
        let waited = profile.as_ref().map_or(0, |profile| {
            let stacks = profile.stacks.iter();
            stacks
                .filter(|(stack, _)| stack.contains("waits_for_a_known_time"))
                .map(|(_, ns)| ns)
                .sum::<u64>()
        });
        // The thread does nothing else: it waits for all of the time but for the sleep in which the profile began.
        let waited = Duration::from_nanos(waited);
        assert!(waited <= all, "{waited:?} of {all:?}: {profile:?}");
        if waited >= time / 2 {
            let profile = profile.expect("it was found");
            assert_eq!(profile.profiling, Profiling::Waiting);
            assert!(profile.seconds() >= waited.as_secs_f64(), "{profile:?}");
            let svg = profile.to_svg("waits").expect("a graph");
            let svg = String::from_utf8(svg).expect("text");
            assert!(
                svg.contains("waits_for_a_known_time") && svg.contains("where threads wait"),
                "{svg}"
            );
            return;
        }
        assert!(started.elapsed() < TIME_MAX, "{waited:?}: {profile:?}");
    }
}

#[test]
fn a_process_that_ends_ends_its_profile() {
    let mut busy = Busy::start();
    let recorder = Recorder::start(busy.profiled(), Profiling::Processor, 499);
    if !is_allowed(&recorder) {
        return;
    }
    let recorder = recorder.expect("it is sampled");
    busy.0.kill().expect("it is killed");
    let started = Instant::now();
    while !recorder.is_done() {
        assert!(started.elapsed() < TIME_MAX, "the profile continues");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let nobody = vec![Profiled {
        process: i32::MAX as u32,
        name: "nobody".to_owned(),
    }];
    let error = Recorder::start(nobody, Profiling::Processor, 499)
        .err()
        .map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("there is no process 2147483647"));
}
