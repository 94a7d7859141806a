//! Why a target cannot be measured.

use std::io;

use thiserror::Error;

/// Why a target cannot be measured. The first field of each is its URL.
#[derive(Debug, Error)]
pub enum TargetError {
    /// No connection.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, io::Error),
    /// It accepts connections and does not answer.
    #[error(
        "{url} accepts connections, but a request had no whole answer within {seconds} s; {bytes} bytes came: does \
         it speak this protocol?"
    )]
    Silent {
        /// The target.
        url: String,
        /// How long it was waited for.
        seconds: u64,
        /// Bytes that came.
        bytes: usize,
    },
    /// It ends the connection instead of answering.
    #[error(
        "{url} closed the connection {}: does it speak this protocol?",
        if *bytes == 0 { "without an answer".to_owned() } else { format!("in the middle of an answer, after {bytes} bytes") }
    )]
    Closed {
        /// The target.
        url: String,
        /// Bytes that came.
        bytes: usize,
    },
    /// What it sends is no answer in this protocol.
    #[error("{url} does not speak this protocol: {why}; it sent {excerpt}")]
    Protocol {
        /// The target.
        url: String,
        /// What is wrong.
        why: String,
        /// The beginning of what it sent.
        excerpt: String,
    },
    /// It answers with an error.
    #[error("{url} answers with an error: {text}")]
    Refused {
        /// The target.
        url: String,
        /// Its text.
        text: String,
    },
}
