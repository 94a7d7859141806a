//! The log thread: takes lines from the queue, and writes all available ones at once.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::Sender;

use super::LINES_QUEUED_MAX;
use super::format::{self, Format};
use super::level::{Level, Origin};
use super::receiver::{End, Line, Receiver};
use super::time::{Stamp, now_ms};

/// Bytes of a batch; one write has at most one line more.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// The time in which further lines are collected after a batch.
const LINES_TOGETHER: Duration = Duration::from_millis(1);

/// A request to the log thread.
pub(super) enum Entry {
    /// Write a line.
    Line(Line),
    /// Check the counter of dropped lines.
    Report,
    /// Write the batch, then answer.
    Flush(Sender<()>),
    /// Open the destination again by its name.
    Reopen,
    /// Hand the lines to a service from now on, those that were held for it first.
    Receiver(Box<dyn Receiver>),
    /// Write the queued lines, then end.
    Shutdown,
}

/// Opens a destination again.
pub(super) type Reopen<W> = Box<dyn Fn() -> io::Result<W> + Send>;

/// Where lines go.
enum Output {
    Destination,
    /// They are held until the receiver is there.
    Held(Vec<Line>),
    Receiver(Box<dyn Receiver>),
}

/// The state of the log thread. Generic over the destination so that tests can make it fail.
pub(super) struct Writer<W> {
    queue: crossbeam::channel::Receiver<Entry>,
    destination: W,
    /// None where the destination has no name.
    reopen: Option<Reopen<W>>,
    stamp: Stamp,
    format: Format,
    output: Output,
    dropped: Arc<AtomicU64>,
    /// How many of `dropped` the log has reported.
    reported: u64,
    batch: Vec<u8>,
    /// The lines of the batch that go to the receiver, and the bytes of their texts.
    lines: Vec<Line>,
    lines_bytes: usize,
    /// The end of each line in the batch, to count the lines that a failed write has lost.
    ends: Vec<usize>,
    /// Whether a failed write has left a partial line at the end of the destination.
    torn: bool,
    /// Whether a failed write was reported on the standard error.
    failed: bool,
    /// Whether the receiver has taken no lines the last time.
    is_refusing: bool,
}

/// A line of the log about itself.
fn report_line(text: String) -> Line {
    Line {
        source: 0,
        origin: Origin::Node,
        level: Level::Warning,
        text: text.into_bytes(),
        at_ms: now_ms(),
    }
}

impl<W: Write> Writer<W> {
    pub(super) fn new(
        queue: crossbeam::channel::Receiver<Entry>,
        destination: W,
        stamp: Stamp,
        dropped: Arc<AtomicU64>,
    ) -> Writer<W> {
        Writer {
            queue,
            destination,
            reopen: None,
            stamp,
            format: Format::default(),
            output: Output::Destination,
            dropped,
            reported: 0,
            batch: Vec::with_capacity(BATCH_BYTES_MAX),
            lines: Vec::new(),
            lines_bytes: 0,
            ends: Vec::new(),
            torn: false,
            failed: false,
            is_refusing: false,
        }
    }

    /// With this form of the lines.
    pub(super) fn formatting(mut self, format: Format) -> Writer<W> {
        self.format = format;
        self
    }

    /// With a function that opens the destination again.
    pub(super) fn reopening(mut self, reopen: Option<Reopen<W>>) -> Writer<W> {
        self.reopen = reopen;
        self
    }

    /// Holds lines until there is a receiver.
    pub(super) fn holding(mut self, holds: bool) -> Writer<W> {
        if holds {
            self.output = Output::Held(Vec::new());
        }
        self
    }

    /// Writes until a shutdown is requested or every logger is dropped.
    pub(super) fn run(mut self) {
        let mut next = self.queue.recv().ok();
        while let Some(first) = next {
            if !self.take_batch(first) {
                break;
            }
            // Who logs many lines does not wake this thread for each of them.
            if self.queue.is_empty() {
                thread::sleep(LINES_TOGETHER);
            }
            next = self.queue.try_recv().ok().or_else(|| self.queue.recv().ok());
        }
        self.release_held();
        self.write();
        // Lines that were logged after the shutdown. Bounded, because other threads may continue to log.
        let late = self.queue.try_iter().take(LINES_QUEUED_MAX);
        let late = late.filter(|entry| matches!(entry, Entry::Line(_))).count() as u64;
        self.dropped.fetch_add(late, Ordering::Relaxed);
    }

    /// Handles `first` and the queue behind it, and writes the batch. Returns `false` after a shutdown.
    fn take_batch(&mut self, first: Entry) -> bool {
        let mut running = true;
        let mut flushes = Vec::new();
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => self.take_line(line),
                Entry::Report => {}
                Entry::Flush(done) => flushes.push(done),
                Entry::Reopen => self.open_again(),
                Entry::Receiver(receiver) => self.set_receiver(receiver),
                Entry::Shutdown => running = false,
            }
            let more = running && self.batch.len() + self.lines_bytes < BATCH_BYTES_MAX;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        let missing = dropped.saturating_sub(self.reported);
        if missing > 0 {
            let lines = if missing == 1 { "line was" } else { "lines were" };
            self.report(format!("{missing} log {lines} dropped"));
        }
        self.hand_over();
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

    /// Puts a line where it goes.
    fn take_line(&mut self, line: Line) {
        match &mut self.output {
            Output::Held(held) if held.len() < LINES_QUEUED_MAX => held.push(line),
            Output::Receiver(receiver) if receiver.handle() != line.source => {
                self.lines_bytes += line.text.len();
                self.lines.push(line);
            }
            Output::Destination | Output::Held(_) | Output::Receiver(_) => self.write_here(&line),
        }
    }

    /// Adds a line to the batch for the destination.
    fn write_here(&mut self, line: &Line) {
        self.append(line);
        self.ends.push(self.batch.len());
    }

    /// A line of the log about itself, which is not counted when it is lost.
    fn report(&mut self, text: String) {
        let line = report_line(text);
        match &self.output {
            Output::Receiver(_) => self.lines.push(line),
            Output::Destination | Output::Held(_) => self.append(&line),
        }
    }

    fn set_receiver(&mut self, receiver: Box<dyn Receiver>) {
        let before = std::mem::replace(&mut self.output, Output::Receiver(receiver));
        if let Output::Held(held) = before {
            for line in held {
                self.take_line(line);
            }
        }
    }

    /// Writes what was held for a receiver that never came.
    fn release_held(&mut self) {
        if let Output::Held(held) = std::mem::replace(&mut self.output, Output::Destination) {
            for line in held {
                self.take_line(line);
            }
        }
    }

    /// Gives the lines to the receiver. When it has ended, they and all further ones go to the destination.
    fn hand_over(&mut self) {
        let Output::Receiver(receiver) = &mut self.output else {
            return;
        };
        self.lines_bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        let refused = if lines.is_empty() {
            Ok(())
        } else {
            receiver.take(lines)
        };
        let (end, handle) = (receiver.end(), receiver.handle());
        if end.is_some() {
            self.output = Output::Destination;
        }
        if end == Some(End::Alone) {
            self.report(format!(
                "the log service :{handle:08x} has ended: log lines are written here"
            ));
        }
        let is_refusing = end.is_none() && refused.is_err();
        if is_refusing && !self.is_refusing {
            self.write_here(&report_line(format!(
                "the log service :{handle:08x} takes no lines, its shard hangs: they are written here until it does"
            )));
        }
        self.is_refusing = is_refusing;
        for line in refused.err().unwrap_or_default() {
            self.write_here(&line);
        }
    }

    fn open_again(&mut self) {
        if let Output::Receiver(receiver) = &mut self.output {
            let lines = std::mem::take(&mut self.lines);
            if let Err(lines) = receiver.take(lines) {
                self.lines = lines;
            }
            return receiver.reopen();
        }
        self.write();
        match self.reopen.as_ref().map(|reopen| reopen()) {
            None => {}
            Some(Ok(destination)) => {
                self.destination = destination;
                self.torn = false;
                self.failed = false;
            }
            Some(Err(error)) => self.report(format!(
                "cannot open the log file again, it stays as it is: {error}"
            )),
        }
    }

    fn append(&mut self, line: &Line) {
        if self.torn && self.batch.is_empty() {
            self.batch.push(b'\n');
        }
        format::append(&mut self.batch, self.format, self.stamp, line);
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

    fn line(source: u32, text: &str) -> Line {
        Line {
            source,
            origin: Origin::Node,
            level: Level::Info,
            text: text.as_bytes().to_vec(),
            at_ms: 0,
        }
    }

    /// Takes as many lines as it is told, and then has ended.
    struct Service {
        takes: usize,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl Receiver for Service {
        fn handle(&self) -> u32 {
            7
        }

        fn take(&mut self, lines: Vec<Line>) -> Result<(), Vec<Line>> {
            if self.end().is_some() {
                return Err(lines);
            }
            self.takes -= 1;
            let texts = lines
                .iter()
                .map(|line| String::from_utf8_lossy(&line.text).into_owned());
            self.taken.lock().unwrap().extend(texts);
            Ok(())
        }

        fn reopen(&mut self) {
            self.taken.lock().unwrap().push("(reopen)".to_owned());
        }

        fn end(&self) -> Option<End> {
            (self.takes == 0).then_some(End::Alone)
        }
    }

    #[test]
    fn a_receiver_gets_the_lines_from_the_start_but_its_own_and_after_its_end_they_are_written() {
        let (sender, queue) = channel::bounded(LINES_QUEUED_MAX);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let destination = Scripted {
            script: Vec::new(),
            accepted: Arc::clone(&accepted),
        };
        let mut writer = Writer::new(queue, destination, Stamp::None, Arc::default()).holding(true);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let service = Service {
            takes: 1,
            taken: Arc::clone(&taken),
        };
        assert!(writer.take_batch(Entry::Line(line(1, "early"))));
        sender.send(Entry::Line(line(7, "own"))).unwrap();
        sender.send(Entry::Line(line(2, "a"))).unwrap();
        sender.send(Entry::Reopen).unwrap();
        assert!(writer.take_batch(Entry::Receiver(Box::new(service))));
        assert!(writer.take_batch(Entry::Line(line(3, "b"))));
        assert!(writer.take_batch(Entry::Line(line(3, "c"))));
        assert_eq!(*taken.lock().unwrap(), ["early", "a", "(reopen)"]);
        let text = String::from_utf8(accepted.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "[:00000007] own\n[:00000000] the log service :00000007 has ended: log lines are written here\n\
             [:00000003] b\n[:00000003] c\n"
        );
    }

    /// Takes no lines for now, and has not ended.
    struct Hanging;

    impl Receiver for Hanging {
        fn handle(&self) -> u32 {
            7
        }

        fn take(&mut self, lines: Vec<Line>) -> Result<(), Vec<Line>> {
            Err(lines)
        }

        fn reopen(&mut self) {}

        fn end(&self) -> Option<End> {
            None
        }
    }

    #[test]
    fn lines_that_a_hanging_receiver_does_not_take_are_written_and_the_log_says_why() {
        let (_sender, queue) = channel::bounded(LINES_QUEUED_MAX);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let destination = Scripted {
            script: Vec::new(),
            accepted: Arc::clone(&accepted),
        };
        let mut writer = Writer::new(queue, destination, Stamp::None, Arc::default()).holding(true);
        assert!(writer.take_batch(Entry::Receiver(Box::new(Hanging))));
        assert!(writer.take_batch(Entry::Line(line(2, "a"))));
        assert!(writer.take_batch(Entry::Line(line(2, "b"))));
        let text = String::from_utf8(accepted.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "[:00000000] the log service :00000007 takes no lines, its shard hangs: they are written here until it does\n\
             [:00000002] a\n[:00000002] b\n"
        );
    }

    #[test]
    fn lines_that_wait_for_a_receiver_that_never_comes_are_written_at_the_end() {
        let (sender, queue) = channel::bounded(LINES_QUEUED_MAX);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let destination = Scripted {
            script: Vec::new(),
            accepted: Arc::clone(&accepted),
        };
        let writer = Writer::new(queue, destination, Stamp::None, Arc::default()).holding(true);
        sender.send(Entry::Line(line(1, "a"))).unwrap();
        drop(sender);
        writer.run();
        assert_eq!(*accepted.lock().unwrap(), b"[:00000001] a\n");
    }

    #[test]
    fn a_destination_that_is_opened_again_gets_the_later_lines() {
        let (sender, queue) = channel::bounded(LINES_QUEUED_MAX);
        let files = [Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new()))];
        let open = |file: &Arc<Mutex<Vec<u8>>>| Scripted {
            script: Vec::new(),
            accepted: Arc::clone(file),
        };
        let second = Arc::clone(&files[1]);
        let reopen: Reopen<Scripted> = Box::new(move || Ok(open(&second)));
        let writer = Writer::new(queue, open(&files[0]), Stamp::None, Arc::default()).reopening(Some(reopen));
        sender.send(Entry::Line(line(1, "a"))).unwrap();
        sender.send(Entry::Reopen).unwrap();
        sender.send(Entry::Line(line(1, "b"))).unwrap();
        drop(sender);
        writer.run();
        assert_eq!(*files[0].lock().unwrap(), b"[:00000001] a\n");
        assert_eq!(*files[1].lock().unwrap(), b"[:00000001] b\n");
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
        let mut writer = Writer::new(queue, destination, Stamp::None, Arc::clone(&dropped));
        for batch in batches {
            for text in *batch {
                sender.try_send(Entry::Line(line(1, text))).unwrap();
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
