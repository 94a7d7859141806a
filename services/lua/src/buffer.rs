//! Packed messages that Lua holds as a pointer and a size, as in Skynet's C interface.
//!
//! `skynet.pack` returns such a pair; sending it, or `skynet.trash`, releases it. The pointer serves only as a key of
//! the table here and is never dereferenced: a pair that is already released, or that Lua invented, is not found. Pairs
//! may travel between the services of a process, so all share one table, in parts that each have a lock. Ordinary calls
//! do not use it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Most packed messages that the services of a process hold as pointers.
pub const BUFFERS_MAX: usize = 1 << 20;

/// Parts of the table.
const PARTS: usize = 16;

/// The messages of one part by address, with the number of times each was inserted.
type Part = FxHashMap<usize, (Bytes, u32)>;

static TABLE: [Mutex<Option<Part>>; PARTS] = [const { Mutex::new(None) }; PARTS];

fn part(address: usize) -> MutexGuard<'static, Option<Part>> {
    let index = (address >> 4) % PARTS;
    TABLE[index].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores a message and returns its address; 0 for an empty message, which is not stored.
///
/// # Errors
/// When the table already holds [`BUFFERS_MAX`].
pub(crate) fn insert(bytes: Bytes) -> Result<usize, &'static str> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let address = bytes.as_ptr() as usize;
    let mut part = part(address);
    let part = part.get_or_insert_default();
    if part.len() >= BUFFERS_MAX / PARTS {
        return Err("too many packed messages are held: send them or pass them to skynet.trash");
    }
    part.entry(address).or_insert((bytes, 0)).1 += 1;
    Ok(address)
}

/// Releases a message and returns it. `None`: there is no message at this address.
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

/// Returns a message without releasing it.
pub(crate) fn peek(address: usize) -> Option<Bytes> {
    let part = part(address);
    part.as_ref()?.get(&address).map(|(bytes, _)| bytes.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_released_once() {
        let address = insert(Bytes::from(vec![7; 40])).unwrap();
        assert_eq!(peek(address), Some(Bytes::from(vec![7; 40])));
        assert_eq!(take(address), Some(Bytes::from(vec![7; 40])));
        assert_eq!(take(address), None);
        assert_eq!(peek(address), None);
    }

    #[test]
    fn a_message_inserted_twice_is_taken_twice() {
        let bytes = Bytes::from(vec![8; 40]);
        let address = insert(bytes.clone()).unwrap();
        assert_eq!(insert(bytes.clone()), Ok(address));
        assert_eq!(take(address), Some(bytes.clone()));
        assert_eq!(take(address), Some(bytes));
        assert_eq!(take(address), None);
    }

    #[test]
    fn an_unknown_address_has_no_message() {
        assert_eq!(take(0x1234), None);
        assert_eq!(insert(Bytes::new()), Ok(0));
    }
}
