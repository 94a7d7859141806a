//! The newest versions of the shared tables of a node, by name.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use super::Tables;

/// Most names of shared tables in each of the modules that share them.
pub const SHARED_NAMES_MAX: usize = 65_536;

/// The module that a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// `skynet.sharedata`
    Data,
    /// `skynet.sharetable`
    Table,
    /// `skynet.datasheet`
    Sheet,
}

/// The newest version of each name of a module.
type Versions = RwLock<FxHashMap<Box<[u8]>, Arc<Tables>>>;

/// The newest versions, by name.
#[derive(Default)]
pub(crate) struct SharedTables {
    spaces: [Versions; 3],
}

impl SharedTables {
    fn space(&self, space: Space) -> &Versions {
        &self.spaces[space as usize]
    }

    pub(crate) fn get(&self, space: Space, name: &[u8]) -> Option<Arc<Tables>> {
        let tables = self.space(space).read().unwrap_or_else(PoisonError::into_inner);
        tables.get(name).cloned()
    }

    /// Sets the version of a name. The previous one is freed when no service reads it.
    ///
    /// # Errors
    /// The name must be new and is not, or there are [`SHARED_NAMES_MAX`] names.
    pub(crate) fn set(
        &self,
        space: Space,
        name: &[u8],
        version: Tables,
        must_be_new: bool,
    ) -> Result<(), &'static str> {
        let mut tables = self.space(space).write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !tables.contains_key(name);
        if must_be_new && !is_new {
            return Err("a shared table with this name exists already");
        }
        if is_new && tables.len() >= SHARED_NAMES_MAX {
            return Err("too many shared tables: delete some");
        }
        let before = tables.insert(name.into(), Arc::new(version));
        drop(tables);
        drop(before);
        Ok(())
    }

    /// Removes a name. `false`: there was none.
    pub(crate) fn remove(&self, space: Space, name: &[u8]) -> bool {
        let mut tables = self.space(space).write().unwrap_or_else(PoisonError::into_inner);
        let removed = tables.remove(name);
        drop(tables);
        removed.is_some()
    }

    /// All names with their versions.
    pub(crate) fn all(&self, space: Space) -> Vec<(Box<[u8]>, Arc<Tables>)> {
        let tables = self.space(space).read().unwrap_or_else(PoisonError::into_inner);
        tables
            .iter()
            .map(|(name, version)| (name.clone(), Arc::clone(version)))
            .collect()
    }
}
