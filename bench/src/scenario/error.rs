//! Why a scenario cannot run.

use std::io;

use skyring::config::ConfigError;
use skyring::{Error as NodeError, StartError};
use thiserror::Error;

use crate::load::LoadError;
use crate::node_process::NodeProcessError;

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file is invalid; the text has the line.
    #[error("{0}")]
    Invalid(String),
    /// The system failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// A called node did not start.
    #[error("a node: {0}")]
    Server(#[from] NodeProcessError),
    /// The calling node did not start.
    #[error("the calling node: {0}")]
    Client(#[from] StartError),
    /// An address is invalid.
    #[error("{0}")]
    Map(#[from] ConfigError),
    /// The load did not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A node does not answer at the beginning.
    #[error("the node {0} does not answer: {1}")]
    FirstCall(String, NodeError),
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
}

/// The error of a text that has a form but not this one, with the line, and a suggestion for a misspelt word.
pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> ScenarioError {
    let message = error.message();
    let line = error.span().map(|span| line_of(text, span.start));
    let place = line.map_or_else(String::new, |(number, line)| {
        format!("line {number}: {}: ", line.trim())
    });
    let suggestion = suggestion(message).map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
    ScenarioError::Invalid(format!(
        "{place}{}{suggestion}",
        message.trim().replace('\n', " ")
    ))
}

/// The number of the line at a place, and the line.
fn line_of(text: &str, place: usize) -> (usize, &str) {
    let before = text.get(..place).unwrap_or(text);
    let number = before.matches('\n').count();
    (number + 1, text.lines().nth(number).unwrap_or_default())
}

/// The expected word that is most like the one that was found, if any is alike: the message has all of them in backquotes.
fn suggestion(message: &str) -> Option<&str> {
    let mut words = message.split('`').skip(1).step_by(2);
    let found = words.next()?;
    nearest(found, words)
}

/// The word that is most like another, if any is alike.
pub(super) fn nearest<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, word) = words
        .map(|word| (distance(found, word), word))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= found.len().max(6) / 3).then_some(word)
}

/// In how many letters two words differ: Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        for (at, expected) in other.iter().enumerate() {
            let above = row.get(at + 1).copied().unwrap_or(usize::MAX - 1);
            let cost = (diagonal + usize::from(letter != *expected))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            if let Some(entry) = row.get_mut(at) {
                *entry = left;
            }
            left = cost;
        }
        if let Some(entry) = row.last_mut() {
            *entry = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_alike_are_suggested() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("raet", "rate", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
        let message = "unknown field `secnods`, expected one of `name`, `seconds`, `rate`";
        assert_eq!(suggestion(message), Some("seconds"));
        assert_eq!(
            suggestion("unknown field `colour`, expected one of `name`, `rate`"),
            None
        );
    }
}
