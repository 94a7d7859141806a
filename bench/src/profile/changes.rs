//! The functions that changed most between two profiles, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// How the time of a function changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionChange {
    /// Its name.
    pub name: String,
    /// Its own time before, without what it calls.
    pub before: f64,
    /// Its own time after.
    pub after: f64,
    /// Its time with all that it calls, before.
    pub with_callees_before: f64,
    /// The same after.
    pub with_callees_after: f64,
}

impl FunctionChange {
    /// By how much its own time changed.
    pub fn change(&self) -> f64 {
        self.after - self.before
    }

    /// By how much its time with all that it calls changed.
    pub fn change_with_callees(&self) -> f64 {
        self.with_callees_after - self.with_callees_before
    }
}

/// What changed between two profiles.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// Whether times are ns a call; else they are parts of all time.
    pub is_per_call: bool,
    /// All time before.
    pub before: f64,
    /// All time after.
    pub after: f64,
    /// The functions whose own time changed most, the greatest change first.
    pub functions: Vec<FunctionChange>,
}

impl Changes {
    /// The unit of the numbers in tables.
    pub(crate) fn unit(&self) -> &'static str {
        if self.is_per_call {
            "ns a call"
        } else {
            "% of all time"
        }
    }

    /// The names and numbers of a table: own time before and after, its change, and that with callees. The last row is that of
    /// all functions, if their sum says something.
    pub(crate) fn rows(&self) -> Vec<([String; 4], &str)> {
        let scale = if self.is_per_call { 1.0 } else { 100.0 };
        let number = |time: f64| format!("{:.1}", time * scale);
        let signed = |time: f64| format!("{:+.1}", time * scale);
        let functions = self.functions.iter().map(|function| {
            let numbers = [
                number(function.before),
                number(function.after),
                signed(function.change()),
                signed(function.change_with_callees()),
            ];
            (numbers, function.name.as_str())
        });
        let change = self.after - self.before;
        let all = self.is_per_call.then(|| {
            let numbers = [
                number(self.before),
                number(self.after),
                signed(change),
                signed(change),
            ];
            (numbers, "all functions")
        });
        functions.chain(all).collect()
    }

    /// The table.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{:>12}{:>12}{:>12}{:>16}  {}\n",
            "before",
            "after",
            "change",
            "with callees",
            self.unit()
        );
        for ([before, after, change, with_callees], name) in self.rows() {
            let name: String = name.chars().filter(|character| !character.is_control()).collect();
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "{before:>12}{after:>12}{change:>12}{with_callees:>16}  {name}"
            );
        }
        text
    }
}
