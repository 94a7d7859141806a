//! A profile names the function in which a process spends its time; without one there is an error with the cause.

use std::hint::black_box;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use skyring_bench::{ProfileError, Profiled, Recorder};

/// Set for the process that is profiled, which is this program again.
const BUSY: &str = "SKYRING_TEST_IS_BUSY";

/// How long a busy process is profiled at most until it has a sample.
const TIME_MAX: Duration = Duration::from_secs(30);

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
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .args(["--exact", "a_busy_process_is_busy", "--nocapture"])
            .env(BUSY, "1")
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

/// Whether this machine allows profiles: containers often do not, and then only the errors can be tested.
fn is_allowed(started: &Result<Recorder, ProfileError>) -> bool {
    !matches!(
        started,
        Err(ProfileError::Paranoid(_) | ProfileError::Forbidden(_) | ProfileError::Unsupported)
    )
}

#[test]
fn a_profile_names_the_function_that_uses_the_processor() {
    let busy = Busy::start();
    let started = Instant::now();
    loop {
        let recorder = Recorder::start(busy.profiled(), 499);
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
fn a_process_that_ends_ends_its_profile() {
    let mut busy = Busy::start();
    let recorder = Recorder::start(busy.profiled(), 499);
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
    let error = Recorder::start(nobody, 499).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("there is no process 2147483647"));
}
