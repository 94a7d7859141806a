//! The typed counter that the tests call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyring::{Context, Node};

use crate::start::start;
use crate::support::{meet, open, serve};

/// Sums numbers.
#[derive(Default)]
pub(crate) struct Counter {
    total: i64,
    notes: BTreeMap<String, Vec<u8>>,
}

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recipient {
    pub(crate) name: String,
    pub(crate) copies: Option<u8>,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum ReportError {
    /// Nothing was added yet.
    Empty,
    /// The recipient is unknown.
    Unknown { name: String, known: Vec<String> },
}

impl fmt::Display for ReportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportError::Empty => formatter.write_str("there is nothing to report"),
            ReportError::Unknown { name, .. } => write!(formatter, "nobody is called {name}"),
        }
    }
}

/// Sums numbers, and keeps notes.
#[skyring::service]
impl Counter {
    /// Adds a number, and answers with the total.
    pub(crate) fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }

    /// Reports the total.
    pub(crate) async fn report(context: &Context<Self>, to: Recipient) -> Result<(String, i64), ReportError> {
        context.sleep(Duration::from_millis(1)).await;
        let total = context.update(|counter| counter.total);
        match (total, to.name.as_str()) {
            (0, _) => Err(ReportError::Empty),
            (_, "Ada") => Ok((to.name, total)),
            _ => Err(ReportError::Unknown {
                name: to.name,
                known: vec!["Ada".to_owned()],
            }),
        }
    }

    /// Begins again.
    #[send]
    pub(crate) fn reset(&mut self) {
        self.total = 0;
    }

    pub(crate) fn note(&mut self, name: &str, text: Option<&[u8]>) -> Option<&[u8]> {
        if let Some(text) = text {
            self.notes.insert(name.to_owned(), text.to_vec());
        }
        self.notes.get(name).map(Vec::as_slice)
    }

    #[command("GET")]
    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    /// Never answers.
    pub(crate) async fn wait(context: &Context<Self>) -> i64 {
        context.sleep(Duration::from_secs(3600)).await;
        context.update(|counter| counter.total)
    }
}

/// A node with `@counter`, and its address.
pub(crate) fn serving() -> (Node, String) {
    let node = start(1);
    serve(&node, "counter", |_| Counter::default());
    let address = open(&node);
    (node, address)
}

/// A node with `@counter`, and one that calls it as `db`.
pub(crate) fn pair() -> (Node, Node) {
    let (db, address) = serving();
    let game = start(1);
    meet(&game, &address);
    (db, game)
}
