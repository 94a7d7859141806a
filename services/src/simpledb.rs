//! A table of keys and values in memory, with the commands of Skynet's example of that name.
//!
//! `GET key` answers the value, or nil. `SET key value` answers the old value, or nil; setting nil removes
//! the key. `PING` answers `PONG`, or what stands behind it. Commands are understood in any case. Keys and
//! values are any Lua values.
//!
//! Keys and values are kept packed, as they came: a GET hands out the kept bytes.

use std::collections::HashMap;

use skyring::seri::{self, ValueRef};
use skyring::{Answer, Context, Error, Message, Payload, Service};

/// Most keys of one table.
pub const ENTRIES_MAX: usize = 10_000_000;

/// How much of an unknown command an error repeats, in bytes.
const COMMAND_BYTES_SHOWN: usize = 64;

/// The table.
#[derive(Debug, Default)]
pub struct SimpleDb {
    entries: HashMap<Box<[u8]>, Payload>,
}

/// One packed value of a message: its bytes, and whether it is nil. A value that is missing is nil.
struct Packed<'a> {
    bytes: &'a [u8],
    is_nil: bool,
}

/// Takes the next value off a message, packed.
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
                    "a command is a string, and got {:?}",
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
            let word = take_packed(&mut values)?;
            if word.is_nil {
                Payload::pack("PONG")
            } else {
                Ok(copy(word.bytes))
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
        // Copies: a slice would keep the whole buffer that it was read into.
        let value = copy(value.bytes);
        if let Some(kept) = self.entries.get_mut(key) {
            return Ok(Some(std::mem::replace(kept, value)));
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Error::remote(format!(
                "the table is full: it has {ENTRIES_MAX} keys"
            )));
        }
        self.entries.insert(key.into(), value);
        Ok(None)
    }
}

/// The key that a command names.
fn key<'a>(values: &mut seri::Values<'a>) -> Result<&'a [u8], Error> {
    let key = take_packed(values)?;
    if key.is_nil {
        Err(Error::remote("the command wants a key, and got nil"))
    } else {
        Ok(key.bytes)
    }
}

fn nil() -> Payload {
    // One byte, which is the packed nil.
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
