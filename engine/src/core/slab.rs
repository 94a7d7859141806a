//! A slab whose keys have a generation: the key of a removed entry never finds the next entry of its slot.

/// The key of one entry of a [`Slab`]: the high half is the generation of its slot, the low half the slot. The
/// two highest bits are never set: a user of the key as a number may set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    #[inline]
    pub(super) fn new(generation: u32, index: u32) -> Key {
        Key(u64::from(generation) << 32 | u64::from(index))
    }

    pub(super) fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The key as a number, for use as a token.
    pub(crate) fn to_u64(self) -> u64 {
        self.0
    }

    /// The key of such a number. A number that never was a key finds nothing.
    pub(crate) fn from_u64(number: u64) -> Key {
        Key(number)
    }
}

/// Generations are counted in 30 bits.
pub(super) const GENERATION_MAX: u32 = u32::MAX >> 2;

enum Slot<T> {
    Vacant { next: Option<u32> },
    Taken(T),
}

/// Entries with stable, generation-checked keys. Slots are reused, memory follows the highest count.
pub(crate) struct Slab<T> {
    slots: Vec<(u32, Slot<T>)>,
    vacant: Option<u32>,
    taken: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            vacant: None,
            taken: 0,
        }
    }
}

impl<T> Slab<T> {
    /// Stores an entry. More than 2^32 at once are impossible: memory ends first.
    #[inline(always)]
    pub(crate) fn insert(&mut self, entry: T) -> Key {
        self.taken += 1;
        if let Some(index) = self.vacant {
            let (generation, slot) = &mut self.slots[index as usize];
            if let Slot::Vacant { next } = slot {
                self.vacant = *next;
            }
            *slot = Slot::Taken(entry);
            return Key::new(*generation, index);
        }
        let index = self.slots.len() as u32;
        self.slots.push((1, Slot::Taken(entry)));
        Key::new(1, index)
    }

    /// The entry with this key, if it still exists.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some((generation, Slot::Taken(entry))) if *generation == key.generation() => Some(entry),
            _ => None,
        }
    }

    /// The entry with this key, if it still exists.
    #[inline(always)]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index()) {
            Some((generation, Slot::Taken(entry))) if *generation == key.generation() => Some(entry),
            _ => None,
        }
    }

    /// Removes the entry with this key.
    #[inline(always)]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, slot) = self.slots.get_mut(key.index())?;
        if *generation != key.generation() || matches!(slot, Slot::Vacant { .. }) {
            return None;
        }
        *generation = generation.wrapping_add(1) & GENERATION_MAX;
        let slot = std::mem::replace(slot, Slot::Vacant { next: self.vacant });
        self.vacant = Some(key.index() as u32);
        self.taken -= 1;
        match slot {
            Slot::Taken(entry) => Some(entry),
            Slot::Vacant { .. } => None,
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// Every entry, in an arbitrary order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Taken(entry) => Some(entry),
            Slot::Vacant { .. } => None,
        })
    }

    /// Every entry with its key, in an arbitrary order.
    pub(crate) fn keyed(&self) -> impl Iterator<Item = (Key, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, (generation, slot))| match slot {
            Slot::Taken(entry) => Some((Key::new(*generation, index as u32), entry)),
            Slot::Vacant { .. } => None,
        })
    }

    /// Removes the entries that satisfy `condition`.
    pub(crate) fn drain_where(&mut self, condition: impl Fn(&T) -> bool) -> Vec<T> {
        let keys: Vec<Key> = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, (_, slot))| matches!(slot, Slot::Taken(entry) if condition(entry)))
            .map(|(index, (generation, _))| Key::new(*generation, index as u32))
            .collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    // Named in full: the benches take this file in, where tests are none.

    #[test]
    fn a_key_of_a_removed_entry_finds_nothing_even_when_its_slot_is_reused() {
        let mut slab = super::Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.index(), second.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn slots_are_reused_so_memory_follows_the_highest_count() {
        let mut slab = super::Slab::default();
        for _ in 0..1_000 {
            let keys: Vec<super::Key> = (0..10).map(|number| slab.insert(number)).collect();
            for key in keys {
                assert!(slab.remove(key).is_some());
            }
        }
        assert_eq!(slab.slots.len(), 10);
        assert_eq!(slab.drain_where(|_| true).len(), 0);
    }
}
