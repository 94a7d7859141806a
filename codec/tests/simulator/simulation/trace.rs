//! What happened, one line each. Nothing is written, or even made up, unless somebody wants to read it.

use std::cell::RefCell;
use std::rc::Rc;

use skyring_codec::Millis;

/// The lines of a run; shared with whoever reads them, so that they outlive a panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    lines: Option<Rc<RefCell<Vec<String>>>>,
}

impl Trace {
    /// One that keeps what it is told.
    pub(crate) fn kept() -> Self {
        Self {
            lines: Some(Rc::default()),
        }
    }

    /// One that keeps nothing.
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
