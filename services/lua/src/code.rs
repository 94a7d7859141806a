//! The compiled Lua files of a node: each file is compiled once, not once for each service.
//!
//! As in Skynet, a file that has changed is compiled again only after the cache was cleared, with `clear` of the module
//! `skynet.codecache` or the command `clearcache` of the console. Services that run keep their code.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// Most files whose code a node keeps.
pub const CODE_FILES_MAX: usize = 16_384;

/// Most bytes of code that a node keeps.
pub const CODE_BYTES_MAX: usize = 256 << 20;

/// How a service uses the code of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeMode {
    /// It does not.
    Off,
    /// It uses code that is there, and adds none.
    Exist,
    /// It uses code that is there, and adds the files that it compiles.
    On,
}

/// The code of a node's files, by path.
#[derive(Default)]
pub(crate) struct CodeCache {
    files: RwLock<Files>,
}

#[derive(Default)]
struct Files {
    by_path: FxHashMap<Box<[u8]>, Arc<[u8]>>,
    bytes: usize,
    /// How often the code was dropped.
    clears: u64,
}

impl CodeCache {
    /// The code of the file with this path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Arc<[u8]>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.by_path.get(path).cloned()
    }

    /// How often the code was dropped: to be asked before a file is read.
    pub(crate) fn clears(&self) -> u64 {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.clears
    }

    /// Adds the code of a file. Past the limits it is not kept, nor if the code was dropped since `clears` was asked: the
    /// file may have changed after it was read.
    pub(crate) fn insert(&self, path: &[u8], code: &[u8], clears: u64) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if files.clears != clears {
            return;
        }
        let bytes = files.bytes + path.len() + code.len();
        if files.by_path.len() >= CODE_FILES_MAX || bytes > CODE_BYTES_MAX || files.by_path.contains_key(path)
        {
            return;
        }
        files.by_path.insert(path.into(), code.into());
        files.bytes = bytes;
    }

    /// Drops all code, so that files are compiled again.
    pub(crate) fn clear(&self) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        *files = Files {
            clears: files.clears + 1,
            ..Files::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_read_before_the_cache_was_cleared_is_not_kept() {
        let cache = CodeCache::default();
        let before = cache.clears();
        cache.insert(b"a", b"old", before);
        assert_eq!(cache.get(b"a").as_deref(), Some(&b"old"[..]));
        cache.clear();
        cache.insert(b"a", b"old", before);
        assert_eq!(cache.get(b"a"), None);
        cache.insert(b"a", b"new", cache.clears());
        assert_eq!(cache.get(b"a").as_deref(), Some(&b"new"[..]));
    }
}
