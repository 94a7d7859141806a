//! What a branch keeps when its process ends.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A transfer to another branch that is not confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its number among the transfers to that branch, from 1.
    pub number: u64,
    /// The account that gets the money.
    pub account: String,
    /// How much.
    pub amount: u64,
}

/// The books of a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// The money in each account.
    pub balances: BTreeMap<String, u64>,
    /// The transfers to each other branch that are not confirmed, in order.
    pub outgoing: BTreeMap<String, Vec<Outgoing>>,
    /// The number of the last transfer to each other branch.
    pub last_sent: BTreeMap<String, u64>,
    /// The number of the last transfer from each other branch that was put into an account.
    pub last_received: BTreeMap<String, u64>,
}

/// Where the books are. They are written as a whole: all of a change, or nothing.
#[derive(Debug, Clone)]
pub enum Disk {
    /// A file.
    File(PathBuf),
    /// The memory of a test, which is there when the process of a node is not.
    Memory(Arc<Mutex<Books>>),
}

impl Disk {
    /// A disk in memory with these books.
    pub fn in_memory(books: Books) -> Disk {
        Disk::Memory(Arc::new(Mutex::new(books)))
    }

    /// Reads the books; a file that does not exist has none.
    ///
    /// # Errors
    /// That of the file, or that it has no books.
    pub fn read(&self) -> io::Result<Books> {
        match self {
            Disk::Memory(books) => Ok(books.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            Disk::File(path) => match fs::read(path) {
                Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Books::default()),
                Err(error) => Err(error),
            },
        }
    }

    /// Writes the books.
    ///
    /// # Errors
    /// That of the file; then the old books are there.
    pub fn write(&self, books: &Books) -> io::Result<()> {
        match self {
            Disk::Memory(stored) => {
                *stored.lock().unwrap_or_else(PoisonError::into_inner) = books.clone();
                Ok(())
            }
            Disk::File(path) => {
                // Renamed when it is whole: a process that ends meanwhile leaves the old books.
                let written = path.with_extension("new");
                let file = fs::File::create(&written)?;
                serde_json::to_writer(&file, books)?;
                file.sync_all()?;
                fs::rename(&written, path)
            }
        }
    }
}
