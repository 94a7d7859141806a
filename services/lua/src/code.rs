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
}

impl CodeCache {
    /// The code of the file with this path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Arc<[u8]>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.by_path.get(path).cloned()
    }

    /// Adds the code of a file. Past the limits it is not kept.
    pub(crate) fn insert(&self, path: &[u8], code: &[u8]) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
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
        *files = Files::default();
    }
}
