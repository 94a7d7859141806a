//! Shared values that every message reads and that change seldom: names, the cluster map.
//!
//! A reader keeps a reference to the last value it has read, and compares one version number to know whether it is
//! still the newest, so reading takes no lock. A change copies the value; readers get it from their next read on.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shared value.
pub(crate) struct Versioned<T> {
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T: Clone> Versioned<T> {
    pub(crate) fn new(value: T) -> Versioned<T> {
        Versioned {
            version: AtomicU64::new(1),
            value: Mutex::new(Arc::new(value)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        // A panic in a change leaves the old value in place, which is consistent.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current value.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.lock())
    }

    /// Changes the value; when `change` fails, the value stays unchanged.
    pub(crate) fn update<R, E>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let mut value = self.lock();
        let mut changed = T::clone(&value);
        let answer = change(&mut changed)?;
        *value = Arc::new(changed);
        self.version.fetch_add(1, Ordering::Release);
        Ok(answer)
    }
}

/// One thread's view of a [`Versioned`] value.
pub(crate) struct Reader<T> {
    source: Arc<Versioned<T>>,
    version: Cell<u64>,
    value: RefCell<Arc<T>>,
}

impl<T: Clone> Reader<T> {
    pub(crate) fn new(source: Arc<Versioned<T>>) -> Reader<T> {
        let value = source.get();
        Reader {
            source,
            version: Cell::new(0),
            value: RefCell::new(value),
        }
    }

    /// The version of the current value: while it is the same, so is the value.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.source.version.load(Ordering::Acquire)
    }

    /// Reads the current value.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let version = self.source.version.load(Ordering::Acquire);
        if version != self.version.get() {
            *self.value.borrow_mut() = self.source.get();
            self.version.set(version);
        }
        read(&self.value.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_a_change_and_a_failed_change_changes_nothing() {
        let shared = Arc::new(Versioned::new(1));
        let reader = Reader::new(Arc::clone(&shared));
        assert_eq!(reader.read(|value| *value), 1);
        let version = reader.version();
        shared
            .update(|value| {
                *value = 2;
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_ne!(reader.version(), version);
        assert_eq!(reader.read(|value| *value), 2);
        let failed: Result<(), &str> = shared.update(|value| {
            *value = 3;
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        assert_eq!(reader.read(|value| *value), 2);
    }
}
