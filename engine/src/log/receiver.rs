//! The receiver of log lines that is a service instead of a file.

use super::level::{Level, Origin};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The handle of the service that wrote it; 0 is the node.
    pub(crate) source: u32,
    /// What part of the node it is from.
    pub(crate) origin: Origin,
    /// How much it matters.
    pub(crate) level: Level,
    /// Its text, cut to a bound, in whatever encoding it came.
    pub(crate) text: Vec<u8>,
    /// When it was written, in milliseconds since 1970; 0 where nobody asks for it.
    pub(crate) at_ms: u64,
}

/// How a receiver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// While the node goes on.
    Alone,
    /// With its node.
    WithNode,
}

/// Takes lines instead of the destination. Called by the log thread.
pub(crate) trait Receiver: Send {
    /// The service that takes the lines. Its own lines go to the destination, because it could never end to log them.
    fn handle(&self) -> u32;

    /// Takes lines, in order.
    ///
    /// # Errors
    /// The lines, when the receiver has ended or takes no more.
    fn take(&mut self, lines: Vec<Line>) -> Result<(), Vec<Line>>;

    /// A log file was moved away: the receiver may open its own again.
    fn reopen(&mut self);

    /// How it has ended, if it has; then it takes no line any more.
    fn end(&self) -> Option<End>;
}
