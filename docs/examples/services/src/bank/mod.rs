//! A bank whose accounts are on several nodes.
//!
//! Each node has a branch with accounts of its own. A transfer takes money from an account of one branch and puts it into an
//! account of another. Processes may end at any moment; what a branch has written to its disk stays.
//!
//! [`obvious`] is the version that one writes first, and that loses money. [`durable`] is the one that does not.

pub mod disk;
pub mod durable;
pub mod obvious;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a branch does not do what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BankError {
    /// The branch has no such account.
    NoAccount(String),
    /// The account has less than that.
    TooPoor {
        /// What it has.
        balance: u64,
    },
    /// The other branch was not reached in time; the text says why.
    Unreachable(String),
    /// The branch cannot write to its disk.
    Disk(String),
}

impl fmt::Display for BankError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BankError::NoAccount(account) => write!(formatter, "there is no account {account}"),
            BankError::TooPoor { balance } => write!(formatter, "the account has only {balance}"),
            BankError::Unreachable(why) => write!(formatter, "the other branch is not reached: {why}"),
            BankError::Disk(why) => write!(formatter, "nothing is written: {why}"),
        }
    }
}
