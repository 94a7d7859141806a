//! An in-memory table of keys and values, with the commands of Skynet's example `simpledb`.
//!
//! `GET key` answers the value, or nil. `SET key value` answers the old value, or nil; setting nil removes
//! the key. `PING` answers `PONG`; `PING value` answers the value. Case does not matter in the name of a
//! command. Keys and values are any Lua values.
//!
//! Keys and values are stored packed, as they were received: a GET answers with the stored bytes.

use std::collections::HashMap;

use skyring::seri::{self, ValueRef};
use skyring::{Answer, Context, Error, Message, Payload, Service};

/// Most keys of the table.
pub const ENTRIES_MAX: usize = 10_000_000;

/// Most bytes of an unknown command that an error quotes.
const COMMAND_BYTES_SHOWN: usize = 64;

/// The service: see the module documentation.
#[derive(Debug, Default)]
pub struct SimpleDb {
    entries: HashMap<Box<[u8]>, Payload>,
}

/// One packed value of a message. A missing value is nil.
struct Packed<'a> {
    bytes: &'a [u8],
    is_nil: bool,
}

/// Takes the next value of a message without decoding it.
fn take_packed<'a>(values: &mut seri::Values<'a>) -> Result<Packed<'a>, Error> {
    let rest = values.rest();
    if rest.is_empty() {
        return Ok(Packed {
            bytes: &[],
            is_nil: true,
        });
    }
    let is_nil = matches!(values.take_value()?, ValueRef::Nil);
    let bytes = rest.get(..rest.len() - values.rest().len()).unwrap_or_default();
    Ok(Packed { bytes, is_nil })
}

impl SimpleDb {
    fn run(&mut self, message: &Message) -> Result<Payload, Error> {
        let mut values = seri::values(&message.payload.0);
        let command = match values.take_value()? {
            ValueRef::String(command) => command,
            other => {
                return Err(Error::remote(format!(
                    "a command must be a string, but got {:?}",
                    other.kind()
                )));
            }
        };
        if command.eq_ignore_ascii_case(b"GET") {
            let key = key(&mut values)?;
            Ok(self.entries.get(key).cloned().unwrap_or_else(nil))
        } else if command.eq_ignore_ascii_case(b"SET") {
            let key = key(&mut values)?;
            let value = take_packed(&mut values)?;
            self.set(key, value).map(|old| old.unwrap_or_else(nil))
        } else if command.eq_ignore_ascii_case(b"PING") {
            let value = take_packed(&mut values)?;
            if value.is_nil {
                Payload::pack("PONG")
            } else {
                Ok(copy(value.bytes))
            }
        } else {
            let shown = command.get(..COMMAND_BYTES_SHOWN).unwrap_or(command);
            let command = String::from_utf8_lossy(shown);
            Err(Error::remote(format!(
                "unknown command {command}: GET, SET and PING are known"
            )))
        }
    }

    fn set(&mut self, key: &[u8], value: Packed<'_>) -> Result<Option<Payload>, Error> {
        if value.is_nil {
            return Ok(self.entries.remove(key));
        }
        // A copy, because a slice would keep the whole receive buffer in memory.
        let value = copy(value.bytes);
        if let Some(stored) = self.entries.get_mut(key) {
            return Ok(Some(std::mem::replace(stored, value)));
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Error::remote(format!(
                "the table is full: it holds {ENTRIES_MAX} keys"
            )));
        }
        self.entries.insert(key.into(), value);
        Ok(None)
    }
}

/// The key of a command.
fn key<'a>(values: &mut seri::Values<'a>) -> Result<&'a [u8], Error> {
    let key = take_packed(values)?;
    if key.is_nil {
        Err(Error::remote("the command requires a key, but got nil"))
    } else {
        Ok(key.bytes)
    }
}

fn nil() -> Payload {
    // The packed form of nil.
    Payload(bytes::Bytes::from_static(&[0]))
}

fn copy(bytes: &[u8]) -> Payload {
    Payload(bytes::Bytes::copy_from_slice(bytes))
}

impl Service for SimpleDb {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::from(self.run(&message))
    }
}
