//! Packed messages that Lua holds as a pointer and a size, as Skynet's C interface hands them around.
//!
//! `skynet.pack` gives such a pair, and a pair is given up by sending it or by `skynet.trash`. The pointer is
//! only ever a key here: a pair that was given up already, or that Lua made up, is found to be unknown, and
//! no memory is touched. Pairs may travel between the services of a process, so there is one table for all,
//! in parts, each with its own lock. The way of ordinary calls does not come here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Most packed messages that the services of a process hold as pointers.
pub const BUFFERS_MAX: usize = 1 << 20;

/// Parts of the table.
const PARTS: usize = 16;

/// The messages of one part, by their address; one that was given twice counts twice.
type Part = FxHashMap<usize, (Bytes, u32)>;

static TABLE: [Mutex<Option<Part>>; PARTS] = [const { Mutex::new(None) }; PARTS];

fn part(address: usize) -> MutexGuard<'static, Option<Part>> {
    let index = (address >> 4) % PARTS;
    TABLE[index].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a message in and gives the address that stands for it; 0 for an empty one, which needs no keeping.
///
/// # Errors
/// When [`BUFFERS_MAX`] are held already.
pub(crate) fn give(bytes: Bytes) -> Result<usize, &'static str> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let address = bytes.as_ptr() as usize;
    let mut part = part(address);
    let part = part.get_or_insert_default();
    if part.len() >= BUFFERS_MAX / PARTS {
        return Err("too many packed messages are held: send them, or give them to skynet.trash");
    }
    part.entry(address).or_insert((bytes, 0)).1 += 1;
    Ok(address)
}

/// Gives a message up. `None`: there is none at that address.
pub(crate) fn take(address: usize) -> Option<Bytes> {
    let mut part = part(address);
    let part = part.as_mut()?;
    let (bytes, count) = part.get_mut(&address)?;
    *count -= 1;
    if *count > 0 {
        return Some(bytes.clone());
    }
    part.remove(&address).map(|(bytes, _)| bytes)
}

/// Looks at a message without giving it up.
pub(crate) fn look(address: usize) -> Option<Bytes> {
    let part = part(address);
    part.as_ref()?.get(&address).map(|(bytes, _)| bytes.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_given_up_once() {
        let address = give(Bytes::from(vec![7; 40])).unwrap();
        assert_eq!(look(address), Some(Bytes::from(vec![7; 40])));
        assert_eq!(take(address), Some(Bytes::from(vec![7; 40])));
        assert_eq!(take(address), None);
        assert_eq!(look(address), None);
    }

    #[test]
    fn what_was_given_twice_is_taken_twice() {
        let bytes = Bytes::from(vec![8; 40]);
        let address = give(bytes.clone()).unwrap();
        assert_eq!(give(bytes.clone()), Ok(address));
        assert_eq!(take(address), Some(bytes.clone()));
        assert_eq!(take(address), Some(bytes));
        assert_eq!(take(address), None);
    }

    #[test]
    fn an_address_that_lua_made_up_is_nobodys() {
        assert_eq!(take(0x1234), None);
        assert_eq!(give(Bytes::new()), Ok(0));
    }
}
