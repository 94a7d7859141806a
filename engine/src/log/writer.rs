//! The log thread: takes lines from the queue, and writes all available ones at once.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender};

use super::{LINES_QUEUED_MAX, line};

/// Bytes of a batch; one write has at most one line more.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// A request to the log thread.
pub(super) enum Entry {
    /// Write a line.
    Line { source: u32, text: String },
    /// Check the counter of dropped lines.
    Report,
    /// Write the batch, then answer.
    Flush(Sender<()>),
    /// Write the queued lines, then end.
    Shutdown,
}

/// The state of the log thread. Generic over the destination so that tests can make it fail.
pub(super) struct Writer<W> {
    queue: Receiver<Entry>,
    destination: W,
    dropped: Arc<AtomicU64>,
    /// How many of `dropped` the log has reported.
    reported: u64,
    batch: Vec<u8>,
    /// The end of each line in the batch, to count the lines that a failed write has lost.
    ends: Vec<usize>,
    /// Whether a failed write has left a partial line at the end of the destination.
    torn: bool,
    /// Whether a failed write was reported on the standard error.
    failed: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(queue: Receiver<Entry>, destination: W, dropped: Arc<AtomicU64>) -> Writer<W> {
        Writer {
            queue,
            destination,
            dropped,
            reported: 0,
            batch: Vec::with_capacity(BATCH_BYTES_MAX),
            ends: Vec::new(),
            torn: false,
            failed: false,
        }
    }

    /// Writes until a shutdown is requested or every logger is dropped.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            if !self.take_batch(first) {
                break;
            }
        }
        // Lines that were logged after the shutdown. Bounded, because other threads may continue to log.
        let late = self.queue.try_iter().take(LINES_QUEUED_MAX);
        let late = late.filter(|entry| matches!(entry, Entry::Line { .. })).count() as u64;
        self.dropped.fetch_add(late, Ordering::Relaxed);
    }

    /// Handles `first` and the queue behind it, and writes the batch. Returns `false` after a shutdown.
    fn take_batch(&mut self, first: Entry) -> bool {
        let mut running = true;
        let mut flushes = Vec::new();
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line { source, text } => {
                    self.append(source, &text);
                    self.ends.push(self.batch.len());
                }
                Entry::Report => {}
                Entry::Flush(done) => flushes.push(done),
                Entry::Shutdown => running = false,
            }
            let more = running && self.batch.len() < BATCH_BYTES_MAX;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        let missing = dropped.saturating_sub(self.reported);
        if missing > 0 {
            let lines = if missing == 1 { "line was" } else { "lines were" };
            self.append(0, &format!("{missing} log {lines} dropped"));
        }
        // The report counts only if it was written.
        if self.write() {
            self.reported = dropped;
        }
        for done in flushes {
            // The waiting thread may have timed out.
            let _ = done.try_send(());
        }
        running
    }

    fn append(&mut self, source: u32, text: &str) {
        if self.torn && self.batch.is_empty() {
            self.batch.push(b'\n');
        }
        line::append(&mut self.batch, source, text);
    }

    /// Writes the batch; lines that the destination does not accept are lost and counted. Returns whether all was
    /// written.
    fn write(&mut self) -> bool {
        let mut written = 0;
        let mut failure = None;
        while let Some(rest) = self.batch.get(written..).filter(|rest| !rest.is_empty()) {
            match self.destination.write(rest) {
                Ok(0) => failure = Some(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => failure = Some(error),
            }
            if failure.is_some() {
                break;
            }
        }
        if written > 0 {
            self.torn = self.batch.get(written - 1) != Some(&b'\n');
        }
        let lost = self.ends.iter().filter(|end| **end > written).count() as u64;
        self.dropped.fetch_add(lost, Ordering::Relaxed);
        self.batch.clear();
        self.ends.clear();
        match failure {
            Some(error) => {
                self.report_failure(&error);
                false
            }
            None => true,
        }
    }

    /// Reports a failing destination, once: the standard error may be as full as the log.
    fn report_failure(&mut self, error: &io::Error) {
        if !self.failed {
            self.failed = true;
            // In one write: the standard error has no buffer, and other threads write there too.
            let line = format!("skyring: cannot write the log: {error}; lines are lost\n");
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::PoisonError;

    use crossbeam::channel;

    use super::*;

    /// Accepts as many bytes per write as its script has, where `None` is a full disk; then everything.
    struct Scripted {
        script: Vec<Option<usize>>,
        accepted: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let step = if self.script.is_empty() {
                Some(bytes.len())
            } else {
                self.script.remove(0)
            };
            let count = step.ok_or(ErrorKind::StorageFull)?.min(bytes.len());
            let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            accepted.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes each group of lines as one batch, and returns the text at the destination and the number of lost lines.
    fn written(script: Vec<Option<usize>>, batches: &[&[&str]]) -> (String, u64) {
        let (sender, queue) = channel::bounded(LINES_QUEUED_MAX);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let dropped = Arc::new(AtomicU64::new(0));
        let destination = Scripted {
            script,
            accepted: Arc::clone(&accepted),
        };
        let mut writer = Writer::new(queue, destination, Arc::clone(&dropped));
        for batch in batches {
            for text in *batch {
                sender
                    .try_send(Entry::Line {
                        source: 1,
                        text: (*text).to_owned(),
                    })
                    .unwrap();
            }
            assert!(writer.take_batch(Entry::Report));
        }
        let accepted = accepted.lock().unwrap().clone();
        (
            String::from_utf8(accepted).unwrap(),
            dropped.load(Ordering::Relaxed),
        )
    }

    #[test]
    fn a_destination_that_accepts_little_at_a_time_gets_every_byte() {
        let (text, dropped) = written(vec![Some(1), Some(5), Some(14)], &[&["a", "b"]]);
        assert_eq!((text.as_str(), dropped), ("[:00000001] a\n[:00000001] b\n", 0));
    }

    #[test]
    fn lines_lost_to_a_failed_write_are_counted_and_reported_once_writing_works() {
        let (text, dropped) = written(vec![None, None], &[&["a", "b"], &["c"], &["d"], &["e"]]);
        assert_eq!(dropped, 3);
        assert_eq!(
            text,
            "[:00000001] d\n[:00000000] 3 log lines were dropped\n[:00000001] e\n"
        );
    }

    #[test]
    fn a_partial_line_is_ended_before_the_next_line_begins() {
        let (text, dropped) = written(vec![Some(14 + 3), None], &[&["a", "b"], &["c"]]);
        assert_eq!(dropped, 1);
        assert_eq!(
            text,
            "[:00000001] a\n[:0\n[:00000001] c\n[:00000000] 1 log line was dropped\n"
        );
    }

    #[test]
    fn a_destination_that_accepts_nothing_does_not_block_the_thread() {
        let (text, dropped) = written(vec![Some(0)], &[&["a"], &[]]);
        assert_eq!(
            (text.as_str(), dropped),
            ("[:00000000] 1 log line was dropped\n", 1)
        );
    }
}
