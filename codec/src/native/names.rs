//! Names that are sent once per connection and represented by a number from then on.
//!
//! The sender assigns the numbers 0 to [`NAMES_MAX`] - 1; when all are assigned, a new name takes the oldest number
//! and is defined again. Definitions are in the stream between the frames that use them, so a number always means
//! its last definition in front of it. The number represents the name, not a service: the receiver resolves the
//! name for every frame.
//!
//! Messages that wait for a connection hold their names by number too, so a held number is not reassigned.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::FrameError;

/// The most names with a number at a time, in one direction of a connection.
pub const NAMES_MAX: usize = 4096;

/// A name of the sender.
#[derive(Debug)]
struct Entry {
    name: Bytes,
    /// The last connection on which its number was defined.
    defined: u64,
    /// How many messages hold it.
    held: u32,
}

/// The names that one end sends. They survive a connection; each connection defines them again.
#[derive(Debug)]
pub(crate) struct NamesOut {
    numbers: FxHashMap<Bytes, u32>,
    entries: Vec<Entry>,
    /// The number that the next new name takes when all are assigned, unless it is held.
    oldest: u32,
    /// The name that was used last, which is most often the next one.
    latest: u32,
    /// Counts the connections.
    connection: u64,
}

impl NamesOut {
    pub(crate) fn new() -> Self {
        Self {
            numbers: FxHashMap::default(),
            entries: Vec::new(),
            oldest: 0,
            latest: 0,
            connection: 1,
        }
    }

    /// Begins a new connection, on which no name is defined.
    pub(crate) fn forget_definitions(&mut self) {
        self.connection += 1;
    }

    /// Holds a name for a message; returns its number. None when all numbers are held by other names.
    #[inline]
    pub(crate) fn hold(&mut self, name: &[u8]) -> Option<u32> {
        let number = self.find(name)?;
        self.entries.get_mut(number as usize)?.held += 1;
        Some(number)
    }

    /// Releases a held name.
    #[inline]
    pub(crate) fn release(&mut self, number: u32) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            debug_assert!(entry.held > 0, "a name is released that is not held");
            entry.held -= 1;
        }
    }

    /// A held name.
    #[inline]
    pub(crate) fn name(&self, number: u32) -> &[u8] {
        self.entries.get(number as usize).map_or(&[], |entry| &entry.name)
    }

    /// The name, if it must be defined on this connection before its number is used; it counts as defined
    /// afterwards.
    #[inline]
    pub(crate) fn define(&mut self, number: u32) -> Option<&Bytes> {
        let entry = self.entries.get_mut(number as usize)?;
        if entry.defined == self.connection {
            return None;
        }
        entry.defined = self.connection;
        Some(&entry.name)
    }

    #[inline]
    fn find(&mut self, name: &[u8]) -> Option<u32> {
        if let Some(entry) = self.entries.get(self.latest as usize)
            && entry.name == name
        {
            return Some(self.latest);
        }
        self.latest = match self.numbers.get(name) {
            Some(number) => *number,
            None => self.add(name)?,
        };
        Some(self.latest)
    }

    fn add(&mut self, name: &[u8]) -> Option<u32> {
        let name = Bytes::copy_from_slice(name);
        let entry = Entry {
            name: name.clone(),
            defined: 0,
            held: 0,
        };
        let number = if self.entries.len() < NAMES_MAX {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let number = self.next_free()?;
            let old = std::mem::replace(self.entries.get_mut(number as usize)?, entry);
            self.numbers.remove(&old.name);
            number
        };
        self.numbers.insert(name, number);
        Some(number)
    }

    /// The number to reassign; None when all are held.
    fn next_free(&mut self) -> Option<u32> {
        for _ in 0..NAMES_MAX {
            let number = self.oldest;
            self.oldest = (number + 1) % NAMES_MAX as u32;
            if self.entries.get(number as usize)?.held == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// The names that one end has received on a connection.
#[derive(Debug, Default)]
pub(crate) struct NamesIn {
    /// Indexed by number; an empty name is not defined.
    names: Vec<Received>,
    /// Bytes of all names together.
    bytes: usize,
}

/// A name of the peer.
#[derive(Debug, Clone, Default)]
struct Received {
    name: Bytes,
    /// The handle that it resolved to, and the state of the receiver's names at that time.
    resolved: Option<(u64, u32)>,
}

impl NamesIn {
    /// Takes a definition. The name is copied, so that it does not keep its chunk.
    pub(crate) fn define(&mut self, number: u32, name: &[u8]) -> Result<(), FrameError> {
        let index = number as usize;
        if index >= NAMES_MAX || name.is_empty() {
            let bytes = name.len();
            return Err(FrameError::Definition { number, bytes });
        }
        if self.names.len() <= index {
            // A peer that assigns high numbers first makes this grow at once, to a small bound.
            self.names.resize(index + 1, Received::default());
        }
        self.bytes = self.bytes + name.len() - self.names[index].name.len();
        self.names[index] = Received {
            name: Bytes::copy_from_slice(name),
            resolved: None,
        };
        Ok(())
    }

    /// The name of a number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Result<Bytes, FrameError> {
        match self.names.get(number as usize) {
            Some(Received { name, .. }) if !name.is_empty() => Ok(name.clone()),
            _ => Err(FrameError::NameUndefined { number }),
        }
    }

    /// The handle of the name with a number, from `resolve` or from the cache. A cached handle is used only while
    /// `state` is the same, so a moved name is never stale; a missing handle is not cached.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        number: u32,
        state: u64,
        resolve: impl FnOnce(&[u8]) -> Option<u32>,
    ) -> Option<u32> {
        let received = self.names.get_mut(number as usize)?;
        match received.resolved {
            Some((then, handle)) if then == state || fault!(NameStale) => Some(handle),
            _ if received.name.is_empty() => None,
            _ => {
                let handle = resolve(&received.name)?;
                received.resolved = Some((state, handle));
                Some(handle)
            }
        }
    }

    /// Memory in bytes that the names hold.
    pub(crate) fn held_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Received>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(index: usize) -> Vec<u8> {
        format!("@{index}").into_bytes()
    }

    /// Holds a name for a message that is transmitted at once; returns its number, and whether it had to be
    /// defined.
    fn use_once(names: &mut NamesOut, name: &[u8]) -> (u32, bool) {
        let number = names.hold(name).expect("not all are held");
        assert_eq!(names.name(number), name);
        let is_new = names.define(number).is_some_and(|defined| defined == name);
        names.release(number);
        (number, is_new)
    }

    #[test]
    fn a_name_is_defined_once_on_each_connection() {
        let mut names = NamesOut::new();
        assert_eq!(use_once(&mut names, b"@a"), (0, true));
        assert_eq!(use_once(&mut names, b"@b"), (1, true));
        assert_eq!(use_once(&mut names, b"@a"), (0, false));
        names.forget_definitions();
        assert_eq!(use_once(&mut names, b"@b"), (1, true));
        assert_eq!(use_once(&mut names, b"@b"), (1, false));
        assert_eq!(use_once(&mut names, b"@a"), (0, true));
    }

    #[test]
    fn after_the_last_number_names_take_the_oldest_and_both_ends_agree() {
        let (mut sent, mut received) = (NamesOut::new(), NamesIn::default());
        let mut exchange = |index: usize| {
            let name = name(index);
            let (number, is_new) = use_once(&mut sent, &name);
            if is_new {
                received.define(number, &name).expect("a number in range");
            }
            assert_eq!(received.get(number).expect("defined"), name);
            is_new
        };
        for index in 0..3 * NAMES_MAX {
            assert!(exchange(index));
            assert!(!exchange(index));
        }
        // The last NAMES_MAX still have their numbers, the ones before do not.
        assert!((2 * NAMES_MAX..3 * NAMES_MAX).all(|index| !exchange(index)));
        assert!(exchange(0));
        assert_eq!(sent.entries.len(), NAMES_MAX);
        assert_eq!(sent.numbers.len(), NAMES_MAX);
    }

    #[test]
    fn a_held_number_is_not_reassigned() {
        let mut names = NamesOut::new();
        let held: Vec<_> = (0..NAMES_MAX).map(|index| names.hold(&name(index))).collect();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(names.hold(b"@new"), None);
        assert_eq!(names.hold(&name(7)), Some(7), "a held name can be held again");
        names.release(7);
        names.release(70);
        assert_eq!(names.hold(b"@new"), Some(70));
        assert_eq!(names.name(70), b"@new");
        assert_eq!(names.name(7), name(7));
    }

    #[test]
    fn a_name_is_resolved_again_after_any_change() {
        let mut names = NamesIn::default();
        names.define(3, b"@a").expect("in range");
        let uncalled = |_: &[u8]| -> Option<u32> { panic!("it is cached") };
        assert_eq!(names.resolve(3, 1, |_| None), None);
        assert_eq!(
            names.resolve(3, 1, |name| (name == b"@a").then_some(10)),
            Some(10)
        );
        assert_eq!(names.resolve(3, 1, uncalled), Some(10));
        // The names of the receiver have changed.
        assert_eq!(names.resolve(3, 2, |_| Some(11)), Some(11));
        assert_eq!(names.resolve(3, 2, uncalled), Some(11));
        assert_eq!(names.resolve(3, 3, |_| None), None);
        // The number is assigned to another name.
        assert_eq!(names.resolve(3, 4, |_| Some(12)), Some(12));
        names.define(3, b"@b").expect("in range");
        assert_eq!(
            names.resolve(3, 4, |name| (name == b"@b").then_some(13)),
            Some(13)
        );
        assert_eq!(names.resolve(2, 4, uncalled), None);
        assert_eq!(names.resolve(4, 4, uncalled), None);
    }

    #[test]
    fn numbers_and_names_out_of_range_are_errors() {
        let mut names = NamesIn::default();
        let last = NAMES_MAX as u32 - 1;
        assert_eq!(names.get(0), Err(FrameError::NameUndefined { number: 0 }));
        assert_eq!(names.define(last, b"@last"), Ok(()));
        assert_eq!(names.get(0), Err(FrameError::NameUndefined { number: 0 }));
        assert_eq!(names.get(last), Ok(Bytes::from_static(b"@last")));
        for (number, name) in [(last + 1, &b"@a"[..]), (u32::MAX, b"@a"), (0, b"")] {
            let bytes = name.len();
            assert_eq!(
                names.define(number, name),
                Err(FrameError::Definition { number, bytes })
            );
        }
    }

    #[test]
    fn held_memory_is_counted_across_redefinitions() {
        let mut names = NamesIn::default();
        for length in [255, 1, 100] {
            names.define(3, &vec![b'n'; length]).expect("in range");
            assert_eq!(names.bytes, length);
        }
        assert!(names.held_bytes() >= 100 + 4 * size_of::<Bytes>());
    }
}
