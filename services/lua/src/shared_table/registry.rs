//! The newest versions of the shared tables of a node, by name.

use std::sync::{Arc, PoisonError, RwLock, Weak};

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

/// The versions of one name.
struct Versions {
    newest: Arc<Tables>,
    /// Those before it that services still read.
    older: Vec<Weak<Tables>>,
}

impl Versions {
    fn older_in_use(&self) -> usize {
        let is_in_use = |version: &&Weak<Tables>| version.strong_count() > 0;
        self.older.iter().filter(is_in_use).count()
    }
}

/// The versions of each name of a module.
type Names = RwLock<FxHashMap<Box<[u8]>, Versions>>;

/// A name with its newest version, and the number of its older ones that services still read.
pub(crate) struct Listed {
    pub(crate) name: Box<[u8]>,
    pub(crate) newest: Arc<Tables>,
    pub(crate) older_in_use: usize,
}

/// The newest versions, by name.
#[derive(Default)]
pub(crate) struct SharedTables {
    spaces: [Names; 3],
}

impl SharedTables {
    fn space(&self, space: Space) -> &Names {
        &self.spaces[space as usize]
    }

    pub(crate) fn get(&self, space: Space, name: &[u8]) -> Option<Arc<Tables>> {
        let tables = self.space(space).read().unwrap_or_else(PoisonError::into_inner);
        tables.get(name).map(|versions| Arc::clone(&versions.newest))
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
        let version = Arc::new(version);
        let before = match tables.get_mut(name) {
            Some(versions) => {
                versions.older.retain(|older| older.strong_count() > 0);
                versions.older.push(Arc::downgrade(&versions.newest));
                Some(std::mem::replace(&mut versions.newest, version))
            }
            None => {
                let versions = Versions {
                    newest: version,
                    older: Vec::new(),
                };
                tables.insert(name.into(), versions);
                None
            }
        };
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

    /// All names.
    pub(crate) fn all(&self, space: Space) -> Vec<Listed> {
        let tables = self.space(space).read().unwrap_or_else(PoisonError::into_inner);
        tables
            .iter()
            .map(|(name, versions)| Listed {
                name: name.clone(),
                newest: Arc::clone(&versions.newest),
                older_in_use: versions.older_in_use(),
            })
            .collect()
    }
}
