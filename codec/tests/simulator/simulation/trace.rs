//! The trace of a run, one line per event. Lines are formatted only when the trace is kept.

use std::cell::RefCell;
use std::rc::Rc;

use skyring_codec::Millis;

/// The lines of a run; shared with the reader, so that they survive a panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    lines: Option<Rc<RefCell<Vec<String>>>>,
}

impl Trace {
    /// A trace that keeps its lines.
    pub(crate) fn kept() -> Self {
        Self {
            lines: Some(Rc::default()),
        }
    }

    /// A trace that keeps nothing.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(super) fn note(&self, now: Millis, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            lines.borrow_mut().push(format!("{now:>7} ms  {}", line()));
        }
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .as_ref()
            .map(|lines| lines.borrow().clone())
            .unwrap_or_default()
    }
}
