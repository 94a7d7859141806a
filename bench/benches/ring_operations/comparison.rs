//! Two ways of one operation, measured in interleaved rounds.

use std::io;
use std::time::{Duration, Instant};

/// Pairs of rounds, after one that is not counted.
const ROUNDS: usize = 31;

/// Prints what the columns are.
pub(crate) fn print_heading() {
    println!("{:<58}{:>12}{:>12}{:>8}", "", "without", "with", "ratio");
}

/// Measures both, each call of which does `operations` operations and returns the time that they took, and prints a row.
pub(crate) fn compare(
    name: &str,
    operations: u32,
    without: impl FnMut() -> io::Result<Duration>,
    with: impl FnMut() -> io::Result<Duration>,
) {
    match measure(without, with) {
        Ok((without, with, ratio)) => println!(
            "{name:<58}{:>9.0} ns{:>9.0} ns{ratio:>8.3}",
            without / f64::from(operations),
            with / f64::from(operations)
        ),
        Err(error) => println!("{name:<58}not on this kernel: {error}"),
    }
}

/// The medians of both in nanoseconds, and that of the ratios.
fn measure(
    mut without: impl FnMut() -> io::Result<Duration>,
    mut with: impl FnMut() -> io::Result<Duration>,
) -> io::Result<(f64, f64, f64)> {
    without()?;
    with()?;
    let (mut withouts, mut withs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (a, b) = if round % 2 == 0 {
            let a = without()?;
            (a, with()?)
        } else {
            let b = with()?;
            (without()?, b)
        };
        let (a, b) = (a.as_nanos() as f64, b.as_nanos() as f64);
        withouts.push(a);
        withs.push(b);
        ratios.push(b / a);
    }
    Ok((median(withouts), median(withs), median(ratios)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time that something takes.
pub(crate) fn timed(operation: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let started = Instant::now();
    operation()?;
    Ok(started.elapsed())
}
