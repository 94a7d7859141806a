//! The arguments of the command `fuzz`.

use std::fmt;

use super::campaign::Limit;
use super::hex::from_hex;
use crate::entries::{ENTRIES, Entry};

/// How the command is called.
pub const USAGE: &str = "\
usage: [--seconds N | --executions N] [--entry NAME]... [--seed N]
       --entry NAME --input FILE|HEX
       --write-samples FOLDER
with [--fault NAME] where the feature faults is on";

/// What runs for when nothing is said, for each entry.
const SECONDS: u64 = 10;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Looks for inputs that fail.
    Search {
        /// When to stop, for each entry.
        limit: Limit,
        /// None for a new one.
        seed: Option<u64>,
    },
    /// Runs one input.
    Replay(Vec<u8>),
    /// Writes what the entries begin with, as files in a folder for each.
    WriteSamples(String),
}

/// What the command was asked for.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// What to do.
    pub action: Action,
    /// With which entries.
    pub entries: Vec<Entry>,
    /// Which deliberate bug is to be switched on.
    pub fault: Option<String>,
}

/// Why arguments are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Default)]
struct Given {
    seconds: Option<u64>,
    executions: Option<u64>,
    seed: Option<u64>,
    entries: Vec<Entry>,
    input: Option<Vec<u8>>,
    samples: Option<String>,
    fault: Option<String>,
}

impl Arguments {
    /// Reads arguments, without the command's name.
    ///
    /// # Errors
    /// [`Refused`], with a text for the user.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Refused> {
        let mut parsed = Given::default();
        while let Some(option) = given.next() {
            parsed.take(&option, given.next())?;
        }
        parsed.check()
    }
}

impl Given {
    fn take(&mut self, option: &str, value: Option<String>) -> Result<(), Refused> {
        let known = [
            "--seconds",
            "--executions",
            "--seed",
            "--entry",
            "--input",
            "--write-samples",
            "--fault",
        ];
        if !known.contains(&option) {
            return Err(Refused(format!("there is no option {option}")));
        }
        let value = value.ok_or_else(|| Refused(format!("{option} needs a value")))?;
        let is_repeated = match option {
            "--seconds" => self.seconds.replace(positive(option, &value)?).is_some(),
            "--executions" => self.executions.replace(positive(option, &value)?).is_some(),
            "--seed" => self.seed.replace(number(option, &value)?).is_some(),
            "--input" => self.input.replace(input(&value)?).is_some(),
            "--write-samples" => self.samples.replace(value).is_some(),
            "--fault" => self.fault.replace(value).is_some(),
            _ => {
                let entry = entry(&value)?;
                let is_repeated = self.entries.iter().any(|known| known.name == entry.name);
                self.entries.push(entry);
                is_repeated
            }
        };
        if is_repeated {
            return Err(Refused(format!("{option} is given twice")));
        }
        Ok(())
    }

    fn check(self) -> Result<Arguments, Refused> {
        let is_search = self.seconds.is_some() || self.executions.is_some() || self.seed.is_some();
        let limit = match (self.seconds, self.executions) {
            (Some(_), Some(_)) => {
                return Err(Refused("either --seconds or --executions, not both".to_owned()));
            }
            (seconds, None) => Limit::Seconds(seconds.unwrap_or(SECONDS)),
            (None, Some(executions)) => Limit::Executions(executions),
        };
        let action = match (self.input, self.samples) {
            (None, None) => Action::Search {
                limit,
                seed: self.seed,
            },
            (Some(_), _) if self.entries.len() != 1 => {
                return Err(Refused("--input needs one --entry, which it is for".to_owned()));
            }
            (Some(input), None) if !is_search => Action::Replay(input),
            (None, Some(folder)) if !is_search => Action::WriteSamples(folder),
            _ => {
                let text = "--input and --write-samples go with no limit, no seed and not with each other";
                return Err(Refused(text.to_owned()));
            }
        };
        let entries = if self.entries.is_empty() {
            ENTRIES.to_vec()
        } else {
            self.entries
        };
        Ok(Arguments {
            action,
            entries,
            fault: self.fault,
        })
    }
}

fn number(option: &str, value: &str) -> Result<u64, Refused> {
    let parsed = value.replace('_', "").parse();
    parsed.map_err(|_| Refused(format!("{option} needs a whole number, not {value:?}")))
}

fn positive(option: &str, value: &str) -> Result<u64, Refused> {
    match number(option, value)? {
        0 => Err(Refused(format!("{option} needs more than 0"))),
        number => Ok(number),
    }
}

fn entry(name: &str) -> Result<Entry, Refused> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    entry.copied().ok_or_else(|| {
        let names = ENTRIES.map(|entry| entry.name).join(", ");
        Refused(format!("there is no entry {name:?}; there are {names}"))
    })
}

/// The bytes of a file, or those that the value spells.
fn input(value: &str) -> Result<Vec<u8>, Refused> {
    match std::fs::read(value) {
        Ok(bytes) => Ok(bytes),
        Err(error) => from_hex(value).ok_or_else(|| {
            Refused(format!(
                "--input needs a file or hexadecimal digits, not {value:?} ({error})"
            ))
        }),
    }
}
