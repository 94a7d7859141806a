//! The log: what reaches the destination, and that no thread waits for a destination that accepts nothing.

use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use skyring::log::{Destination, LINE_BYTES_MAX, LINES_QUEUED_MAX, Logger, SHUTDOWN_TIME_MAX};

/// Long enough for any machine; nothing here waits that long unless it fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A logger that writes into a pipe, and the end to read from.
fn piped() -> (Logger, PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    let logger = Logger::start(Destination::File(path)).expect("a logger");
    (logger, reader)
}

#[test]
fn lines_are_in_the_file_after_shutdown_in_the_order_they_were_logged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    let logger = Logger::start(Destination::File(path.clone())).unwrap();
    for number in 0..1000 {
        logger.log(0xa, format_args!("line {number}"));
    }
    logger.log(2, "LAUNCH snlua bootstrap");
    logger.shutdown();
    let expected: String = (0..1000)
        .map(|number| format!("[:0000000a] line {number}\n"))
        .collect();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        expected + "[:00000002] LAUNCH snlua bootstrap\n"
    );
    assert_eq!(logger.dropped(), 0);
}

#[test]
fn a_file_that_is_there_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    for text in ["before", "after"] {
        let logger = Logger::start(Destination::File(path.clone())).unwrap();
        logger.log(1, text.to_owned());
        logger.shutdown();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "[:00000001] before\n[:00000001] after\n"
    );
}

#[test]
fn a_destination_that_cannot_be_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Logger::start(Destination::File(folder.path().join("absent/node.log"))).is_err());
    assert!(Logger::start(Destination::File(folder.path().to_owned())).is_err());
}

#[test]
fn a_lone_line_arrives_without_another_one_behind_it() {
    let (logger, mut reader) = piped();
    for _ in 0..3 {
        logger.log(8, "alone");
        let mut line = [0; "[:00000008] alone\n".len()];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"[:00000008] alone\n");
    }
    logger.shutdown();
}

#[test]
fn lines_of_several_threads_are_whole_and_in_each_threads_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    let logger = Logger::start(Destination::File(path.clone())).unwrap();
    thread::scope(|scope| {
        for source in 1..=4 {
            let logger = logger.clone();
            scope.spawn(move || {
                for number in 0..1000 {
                    logger.log(source, format_args!("{number}"));
                }
            });
        }
    });
    logger.shutdown();
    assert_eq!(logger.dropped(), 0, "4,000 lines are fewer than the queue holds");
    let text = fs::read_to_string(&path).unwrap();
    for source in 1..=4 {
        let prefix = format!("[:{source:08x}] ");
        let numbers: Vec<u32> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.parse().ok())
            .collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn lines_past_a_full_queue_are_dropped_counted_and_reported() {
    let (logger, mut reader) = piped();
    let text = "x".repeat(LINE_BYTES_MAX);
    // The pipe is not read: the pipe and the writer's batch take a few lines, the queue takes its limit, and the rest
    // is dropped. If the queue had no bound, or if the caller had to wait, this test would not end.
    let logged = 2 * LINES_QUEUED_MAX as u64;
    for _ in 0..logged {
        logger.log(1, &text);
    }
    let dropped = logger.dropped();
    assert!(
        dropped > 0 && dropped <= logged - LINES_QUEUED_MAX as u64,
        "{dropped} of {logged} dropped"
    );

    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    assert!(logger.flush(TIMEOUT));
    logger.shutdown();
    assert_eq!(
        logger.dropped(),
        dropped,
        "nothing is dropped once the pipe is read"
    );
    let output = reading.join().unwrap().unwrap();
    let kept = output
        .lines()
        .filter(|line| line.starts_with("[:00000001] "))
        .count() as u64;
    assert_eq!(kept + dropped, logged);
    let reports = output.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("[:00000000] ")?.split_once(' ')?;
        rest.ends_with("dropped").then(|| number.parse::<u64>().unwrap())
    });
    assert_eq!(
        reports.sum::<u64>(),
        dropped,
        "the log says how many are missing from it"
    );
}

#[test]
fn a_stuck_destination_bounds_flush_and_shutdown() {
    let (logger, reader) = piped();
    let text = "x".repeat(LINE_BYTES_MAX);
    for _ in 0..100 {
        logger.log(1, &text);
    }
    assert!(!logger.flush(Duration::from_millis(50)));
    let started = Instant::now();
    logger.shutdown();
    assert!(
        started.elapsed() >= SHUTDOWN_TIME_MAX,
        "it is given the time to take what is queued"
    );
    // Closing the pipe sets the log thread free.
    drop(reader);
}

#[test]
fn a_closed_pipe_and_a_full_disk_cost_lines_and_nothing_else() {
    let (broken, reader) = piped();
    drop(reader);
    let full = Logger::start(Destination::File(PathBuf::from("/dev/full"))).unwrap();
    for logger in [broken, full] {
        for lost in 1..=3 {
            logger.log(1, "lost");
            assert!(logger.flush(TIMEOUT));
            assert_eq!(logger.dropped(), lost);
        }
        logger.shutdown();
    }
}

#[test]
fn lines_after_shutdown_are_counted_as_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    let logger = Logger::start(Destination::File(path.clone())).unwrap();
    let clone = logger.clone();
    logger.shutdown();
    clone.log(1, "late");
    clone.shutdown();
    assert_eq!(clone.dropped(), 1);
    assert!(!clone.flush(Duration::from_millis(1)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn a_text_cannot_forge_a_line_and_a_long_one_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.log");
    let logger = Logger::start(Destination::File(path.clone())).unwrap();
    logger.log(1, "attempt to index nil\n[:00000002] all is well\x1b[0m");
    logger.log(1, "y".repeat(LINE_BYTES_MAX + 10));
    logger.shutdown();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "[:00000001] attempt to index nil",
            "    [:00000002] all is well\\u{1b}[0m"
        ]
    );
    assert_eq!(
        lines[2],
        format!("[:00000001] {} ...[10 bytes cut]", "y".repeat(LINE_BYTES_MAX))
    );
}
