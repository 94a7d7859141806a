//! A hierarchical timer wheel: deadlines go in, expired timers come out.
//!
//! Time is counted in milliseconds. A deadline is on the level of the highest 6-bit digit in which it differs from
//! the time reached so far, in the slot of that digit. Eleven levels of 64 slots hold every 64-bit deadline, so
//! there is no largest delay and no special case. When time reaches a slot of a higher level, its entries move to
//! lower levels: at most ten times per entry, and never after the entry was cancelled.
//!
//! Invariants:
//! - no timer expires before its deadline;
//! - on each level only slots ahead of the time reached are occupied (on the lowest level also the current one), so
//!   the first occupied slot of the lowest occupied level holds the next entries;
//! - the cost of insert and cancel does not depend on the number of timers, and they allocate only when there are
//!   more timers than ever before;
//! - a key is valid only for its own timer, also after the entry was reused.

use crate::Millis;

/// Bits of a deadline on one level.
const LEVEL_BITS: u32 = 6;
/// Slots of one level.
const SLOTS: usize = 1 << LEVEL_BITS;
/// Levels enough for all 64 bits.
const LEVELS: usize = u64::BITS.div_ceil(LEVEL_BITS) as usize;
/// The end of a list.
const NONE: u32 = u32::MAX;
/// Entries that are retained when no timer is left; the memory of a larger burst is freed.
const KEPT_ENTRIES_MAX: usize = 16 * 1024;

/// Identifies a timer of the wheel that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: Millis,
    /// Neighbours in the ring of a slot; free entries are linked by `next` only.
    previous: u32,
    next: u32,
    /// Counts the uses of this entry.
    generation: u32,
    /// Index of its ring: `level * SLOTS + slot`.
    ring: u16,
    /// None while the entry is free.
    value: Option<T>,
}

/// Timers that each hold a `T`. See the module documentation.
#[derive(Debug)]
pub struct TimerWheel<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    /// The first generation of new entries, so that no key is valid after its entry was freed.
    generation_first: u32,
    length: usize,
    /// The first entry of each slot's ring.
    heads: Box<[u32]>,
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// A bit for each level that is not empty.
    levels_occupied: u32,
    /// The time reached: every timer before it has expired.
    reached: Millis,
}

impl<T> TimerWheel<T> {
    /// An empty wheel at time `now`.
    pub fn new(now: Millis) -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            generation_first: 0,
            length: 0,
            heads: vec![NONE; LEVELS * SLOTS].into_boxed_slice(),
            occupied: [0; LEVELS],
            levels_occupied: 0,
            reached: now,
        }
    }

    /// How many timers are pending.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no timer is pending.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a timer. A deadline that has passed expires with the next poll.
    ///
    /// # Panics
    /// With 2^32 - 1 timers at once, far above the limit of any user of this wheel.
    #[inline]
    pub fn insert(&mut self, deadline: Millis, value: T) -> TimerKey {
        let index = self.free;
        let index = if index == NONE {
            self.grow(deadline, value)
        } else {
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.deadline = deadline;
            entry.value = Some(value);
            index
        };
        self.length += 1;
        self.link(index);
        TimerKey {
            index,
            generation: self.entries[index as usize].generation,
        }
    }

    fn grow(&mut self, deadline: Millis, value: T) -> u32 {
        let index = self.entries.len() as u32;
        assert!(self.entries.len() < NONE as usize, "the timer wheel is full");
        self.entries.push(Entry {
            deadline,
            previous: NONE,
            next: NONE,
            generation: self.generation_first,
            ring: 0,
            value: Some(value),
        });
        index
    }

    /// Removes a timer before it expires. None when it has expired or was cancelled before.
    #[inline]
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation != key.generation || entry.value.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.free_entry(key.index)
    }

    /// Advances time to `now` and returns one timer whose deadline is at or before it; None when there is none
    /// left. Earlier deadlines come first; equal ones come in no particular order. A `now` before an earlier one is
    /// no progress.
    #[inline]
    pub fn poll(&mut self, now: Millis) -> Option<T> {
        // Each iteration returns an entry or moves one slot to lower levels, so the loop is bounded by the occupied
        // slots that time passes, not by the milliseconds.
        while let Some((level, slot, start)) = self.first_slot() {
            if start > now {
                break;
            }
            self.reached = start;
            let ring = level * SLOTS + slot;
            if level == 0 {
                let index = self.heads[ring];
                self.unlink(index);
                return self.free_entry(index);
            }
            self.cascade(ring);
        }
        self.reached = self.reached.max(now);
        None
    }

    /// When to poll next: exact when the next deadline is near (it differs only in its lowest six bits), else a
    /// lower bound. A poll at that time always makes progress: it returns a timer or brings the bound closer to the
    /// deadline. None when no timer is pending.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.first_slot().map(|(_, _, start)| start)
    }

    /// Level, slot and first millisecond of the first occupied slot.
    #[inline]
    fn first_slot(&self) -> Option<(usize, usize, Millis)> {
        if self.levels_occupied == 0 {
            return None;
        }
        let level = self.levels_occupied.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        let shift = level * LEVEL_BITS;
        // The topmost level has no digits above it.
        let digits_above = u64::MAX.checked_shl(shift + LEVEL_BITS).unwrap_or(0);
        let start = (self.reached & digits_above) | (u64::from(slot) << shift);
        Some((level as usize, slot as usize, start))
    }

    /// Appends an entry to the ring of the slot that its deadline belongs to now.
    #[inline]
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline.max(self.reached);
        let level = (u64::BITS - 1 - ((deadline ^ self.reached) | 1).leading_zeros()) / LEVEL_BITS;
        let slot = (deadline >> (level * LEVEL_BITS)) as usize % SLOTS;
        let ring = level as usize * SLOTS + slot;
        let head = self.heads[ring];
        let (previous, next) = if head == NONE {
            self.heads[ring] = index;
            self.occupied[level as usize] |= 1 << slot;
            self.levels_occupied |= 1 << level;
            (index, index)
        } else {
            let tail = self.entries[head as usize].previous;
            self.entries[tail as usize].next = index;
            self.entries[head as usize].previous = index;
            (tail, head)
        };
        let entry = &mut self.entries[index as usize];
        entry.previous = previous;
        entry.next = next;
        entry.ring = ring as u16;
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        let Entry {
            previous, next, ring, ..
        } = self.entries[index as usize];
        let ring = usize::from(ring);
        if next == index {
            self.heads[ring] = NONE;
            self.empty_slot(ring);
            return;
        }
        self.entries[previous as usize].next = next;
        self.entries[next as usize].previous = previous;
        if self.heads[ring] == index {
            self.heads[ring] = next;
        }
    }

    #[inline]
    fn empty_slot(&mut self, ring: usize) {
        let level = ring / SLOTS;
        self.occupied[level] &= !(1 << (ring % SLOTS));
        if self.occupied[level] == 0 {
            self.levels_occupied &= !(1 << level);
        }
    }

    /// Moves all entries of a slot that time has reached to lower levels.
    fn cascade(&mut self, ring: usize) {
        let head = self.heads[ring];
        self.heads[ring] = NONE;
        self.empty_slot(ring);
        let mut index = head;
        loop {
            let next = self.entries[index as usize].next;
            self.link(index);
            if next == head {
                return;
            }
            index = next;
        }
    }

    /// Frees an unlinked entry.
    #[inline]
    fn free_entry(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        let value = entry.value.take();
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = index;
        self.length -= 1;
        if self.length == 0 && self.entries.len() > KEPT_ENTRIES_MAX {
            self.release_entries();
        }
        value
    }

    fn release_entries(&mut self) {
        let used = self
            .entries
            .iter()
            .map(|entry| entry.generation)
            .max()
            .unwrap_or_default();
        self.generation_first = used.wrapping_add(1);
        self.entries = Vec::new();
        self.free = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_timer_expires_at_its_deadline_and_not_before() {
        let mut wheel = TimerWheel::new(1_000);
        wheel.insert(31_000, "call");
        assert_eq!(wheel.poll(30_999), None);
        assert_eq!(wheel.poll(31_000), Some("call"));
        assert_eq!(wheel.poll(31_000), None);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_deadline_that_has_passed_expires_at_once() {
        let mut wheel = TimerWheel::new(1_000);
        wheel.insert(3, ());
        assert_eq!(wheel.next_deadline(), Some(1_000));
        assert_eq!(wheel.poll(1_000), Some(()));
    }

    #[test]
    fn the_largest_time_can_be_a_deadline() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(u64::MAX, ());
        assert_eq!(wheel.poll(u64::MAX - 1), None);
        assert_eq!(wheel.poll(u64::MAX), Some(()));
    }

    #[test]
    fn a_long_jump_in_time_does_not_iterate_over_milliseconds() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(10, 1);
        wheel.insert(1 << 50, 2);
        // A loop over each millisecond would not end.
        assert_eq!(wheel.poll(1 << 60), Some(1));
        assert_eq!(wheel.poll(1 << 60), Some(2));
        assert_eq!(wheel.poll(1 << 60), None);
        wheel.insert((1 << 60) + 5, 3);
        assert_eq!(wheel.next_deadline(), Some((1 << 60) + 5));
    }

    #[test]
    fn a_clock_that_steps_back_is_no_progress() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(10_000, 1);
        assert_eq!(wheel.poll(9_000), None);
        assert_eq!(wheel.poll(100), None);
        wheel.insert(5_000, 2);
        assert_eq!(wheel.poll(8_999), None);
        assert_eq!(wheel.poll(9_000), Some(2));
        assert_eq!(wheel.poll(10_000), Some(1));
    }

    #[test]
    fn a_key_is_invalid_after_its_timer() {
        let mut wheel = TimerWheel::new(0);
        let first = wheel.insert(5, 1);
        assert_eq!(wheel.cancel(first), Some(1));
        let second = wheel.insert(5, 2);
        assert_eq!(first.index, second.index, "this test needs a reused entry");
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.poll(5), Some(2));
        assert_eq!(wheel.cancel(second), None);
    }

    #[test]
    fn the_memory_of_a_burst_is_freed_and_its_keys_stay_invalid() {
        let mut wheel = TimerWheel::new(0);
        let keys: Vec<_> = (0..=KEPT_ENTRIES_MAX)
            .map(|number| wheel.insert(9, number))
            .collect();
        for key in &keys {
            assert!(wheel.cancel(*key).is_some());
        }
        assert_eq!(wheel.entries.capacity(), 0);
        for number in 0..10 {
            wheel.insert(9, number);
        }
        assert!(keys.iter().all(|key| wheel.cancel(*key).is_none()));
    }

    #[test]
    fn a_steady_flow_of_timers_reuses_its_entries() {
        let mut wheel = TimerWheel::new(0);
        for now in 0..100_000 {
            let key = wheel.insert(now + 30_000, now);
            assert_eq!(wheel.poll(now), None);
            assert_eq!(wheel.cancel(key), Some(now));
        }
        assert_eq!(wheel.entries.len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64),
        Cancel(prop::sample::Index),
        Advance(u64),
    }

    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..70, 0u64..5_000, 0u64..400_000, Just(1 << 40), any::<u64>()]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => delay().prop_map(Step::Insert),
            2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            2 => delay().prop_map(Step::Advance),
        ]
    }

    proptest! {
        #[test]
        fn the_wheel_agrees_with_a_sorted_map(
            start in prop_oneof![Just(0u64), any::<u32>().prop_map(u64::from), any::<u64>()],
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let mut now = start;
            let mut wheel = TimerWheel::new(now);
            let mut model: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
            let mut keys = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(delay) => {
                        let deadline = now.saturating_add(delay);
                        keys.push((wheel.insert(deadline, number), deadline, number));
                        model.entry(deadline).or_default().insert(number);
                    }
                    Step::Cancel(which) => {
                        if keys.is_empty() { continue }
                        let (key, deadline, number) = keys[which.index(keys.len())];
                        let lives = model.get_mut(&deadline).is_some_and(|set| set.remove(&number));
                        prop_assert_eq!(wheel.cancel(key), lives.then_some(number));
                        model.retain(|_, set| !set.is_empty());
                    }
                    Step::Advance(delay) => {
                        now = now.saturating_add(delay);
                        while let Some(number) = wheel.poll(now) {
                            let (&deadline, _) = model.first_key_value().expect("the model has it too");
                            prop_assert!(deadline <= now, "early");
                            let set = model.get_mut(&deadline).expect("just seen");
                            prop_assert!(set.remove(&number), "out of order");
                            if set.is_empty() { model.remove(&deadline); }
                        }
                        prop_assert!(model.first_key_value().is_none_or(|(deadline, _)| *deadline > now));
                    }
                }
                prop_assert_eq!(wheel.len(), model.values().map(BTreeSet::len).sum::<usize>());
                // The next deadline is a lower bound, and following it reaches the timer in few steps.
                let exact = model.first_key_value().map(|(deadline, _)| *deadline);
                prop_assert_eq!(wheel.next_deadline().is_some(), exact.is_some());
                if let (Some(bound), Some(exact)) = (wheel.next_deadline(), exact) {
                    prop_assert!(bound <= exact.max(now));
                }
            }
            let mut turns = 0;
            while let Some(bound) = wheel.next_deadline() {
                wheel.poll(bound);
                turns += 1;
                prop_assert!(turns <= 200 * (LEVELS + 1), "the bound makes no progress");
            }
        }
    }
}
