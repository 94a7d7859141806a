//! The names of services: `.name` within the node, `@name` for the cluster.
//!
//! Every message with a name looks it up, so that a name that moved is never stale.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::core::handle::Handle;
use crate::error::{Error, Text};

/// Longest name in bytes, with its first character: the limit of the wire.
pub const NAME_BYTES_MAX: usize = 255;

/// Most names of each sort on a node.
pub const NAMES_MAX: usize = 65_536;

/// All names of a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    local: FxHashMap<Text, Handle>,
    registered: FxHashMap<Text, Handle>,
    registered_name: FxHashMap<Handle, Text>,
    /// The instances of each keyed service, by shard; [`Handle::NONE`] in place of an instance that has ended.
    keyed: FxHashMap<Handle, Arc<[Handle]>>,
    /// The keyed service that each instance belongs to.
    keyed_by_instance: FxHashMap<Handle, Handle>,
}

fn check(name: &str, count: usize) -> Result<Text, Error> {
    if name.is_empty() || name.len() >= NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a name has 1 to {} bytes, and this one has {}",
            NAME_BYTES_MAX - 1,
            name.len()
        )));
    }
    if count >= NAMES_MAX {
        return Err(Error::overloaded(format!(
            "{NAMES_MAX} names are the most a node has"
        )));
    }
    Ok(Arc::from(name))
}

impl Names {
    /// The service behind `.name` or `@name`; no other text is a name.
    pub(crate) fn resolve(&self, name: &str) -> Option<Handle> {
        match name.as_bytes().first() {
            Some(b'.') => self.local.get(&name[1..]).copied(),
            Some(b'@') => self.registered.get(&name[1..]).copied(),
            _ => None,
        }
    }

    /// Gives a service the name `.name`; `name` has no leading `.`.
    pub(crate) fn name_local(&mut self, name: &str, handle: Handle) -> Result<(), Error> {
        let key = check(name, self.local.len())?;
        match self.local.get(&key) {
            Some(&owner) if owner != handle => Err(Error::invalid(format!(
                "the name .{name} belongs to {owner} already"
            ))),
            _ => {
                self.local.insert(key, handle);
                Ok(())
            }
        }
    }

    /// Registers a service as `@name`; `name` has no leading `@`. A service has one such name: a new one replaces the
    /// old.
    pub(crate) fn register(&mut self, name: &str, handle: Handle) -> Result<(), Error> {
        let key = check(name, self.registered.len())?;
        if let Some(owner) = self.registered.get(&key) {
            return Err(Error::invalid(format!(
                "the name @{name} is registered already, for {owner}"
            )));
        }
        if let Some(old) = self.registered_name.insert(handle, Arc::clone(&key)) {
            self.registered.remove(&old);
        }
        self.registered.insert(key, handle);
        Ok(())
    }

    /// Unregisters `@name` and returns its service. An unknown name is no error.
    pub(crate) fn unregister(&mut self, name: &str) -> Option<Handle> {
        let handle = self.registered.remove(name)?;
        self.registered_name.remove(&handle);
        Some(handle)
    }

    /// The name under which a service, or the keyed service that it is an instance of, is registered, without its `@`.
    pub(crate) fn registered_name(&self, handle: Handle) -> Option<Text> {
        let service = self.keyed_by_instance.get(&handle).unwrap_or(&handle);
        self.registered_name.get(service).cloned()
    }

    /// The names of a service, with their first characters, sorted. Its cost is that of all local names.
    pub(crate) fn names_of(&self, handle: Handle) -> Vec<String> {
        let local = self.local.iter().filter(|(_, owner)| **owner == handle);
        let mut names: Vec<String> = local.map(|(name, _)| format!(".{name}")).collect();
        names.extend(self.registered_name.get(&handle).map(|name| format!("@{name}")));
        names.sort();
        names
    }

    /// The first name of each service that has one, without its first character; of a keyed service for its instances too.
    pub(crate) fn first_names(&self) -> FxHashMap<Handle, Text> {
        let mut first: FxHashMap<Handle, Text> = FxHashMap::default();
        for (name, handle) in &self.local {
            let kept = first.entry(*handle).or_insert_with(|| Text::clone(name));
            if name < kept {
                *kept = Text::clone(name);
            }
        }
        // A name for the cluster says more.
        for (handle, name) in &self.registered_name {
            first.insert(*handle, Text::clone(name));
        }
        for (instance, keyed) in &self.keyed_by_instance {
            if let Some(name) = first.get(keyed).cloned() {
                first.entry(*instance).or_insert(name);
            }
        }
        first
    }

    /// The name in [`first_names`](Names::first_names) of one service.
    pub(crate) fn first_name(&self, handle: Handle) -> Option<Text> {
        let local = |wanted: Handle| {
            let names = self.local.iter().filter(move |(_, owner)| **owner == wanted);
            names.map(|(name, _)| name).min().cloned()
        };
        let own = self
            .registered_name
            .get(&handle)
            .cloned()
            .or_else(|| local(handle));
        own.or_else(|| {
            let keyed = *self.keyed_by_instance.get(&handle)?;
            self.registered_name.get(&keyed).cloned().or_else(|| local(keyed))
        })
    }

    /// Adds a keyed service: its own handle, and those of its instances by shard.
    pub(crate) fn add_keyed(&mut self, handle: Handle, instances: Arc<[Handle]>) -> Result<(), Error> {
        if self.keyed.len() >= NAMES_MAX {
            return Err(Error::overloaded(format!(
                "{NAMES_MAX} keyed services are the most a node has"
            )));
        }
        self.keyed_by_instance
            .extend(instances.iter().map(|instance| (*instance, handle)));
        self.keyed.insert(handle, instances);
        Ok(())
    }

    /// The instance of a keyed service on a shard; a shard number past the last one wraps around.
    pub(crate) fn instance(&self, handle: Handle, shard: usize) -> Option<Handle> {
        let instances = self.keyed.get(&handle)?;
        let instance = instances.get(shard % instances.len().max(1))?;
        Some(*instance).filter(|instance| *instance != Handle::NONE)
    }

    /// The live instances of a keyed service.
    pub(crate) fn instances(&self, handle: Handle) -> Vec<Handle> {
        let instances = self.keyed.get(&handle).map_or(&[][..], |instances| instances);
        let live = instances.iter().filter(|instance| **instance != Handle::NONE);
        live.copied().collect()
    }

    /// Removes an instance from its keyed service; removing the last one removes the keyed service.
    fn remove_instance(&mut self, instance: Handle) {
        let Some(handle) = self.keyed_by_instance.remove(&instance) else {
            return;
        };
        let Some(instances) = self.keyed.get_mut(&handle) else {
            return;
        };
        let left = instances.iter().map(|other| match *other == instance {
            true => Handle::NONE,
            false => *other,
        });
        *instances = left.collect();
        if instances.iter().all(|instance| *instance == Handle::NONE) {
            self.keyed.remove(&handle);
            self.remove(handle);
        }
    }

    /// Gives the names of a service, and its place among the instances of a keyed service, to another one.
    pub(crate) fn replace(&mut self, old: Handle, new: Handle) {
        for owner in self.local.values_mut().filter(|owner| **owner == old) {
            *owner = new;
        }
        if let Some(name) = self.registered_name.remove(&old) {
            self.registered.insert(Arc::clone(&name), new);
            self.registered_name.insert(new, name);
        }
        if let Some(keyed) = self.keyed_by_instance.remove(&old) {
            self.keyed_by_instance.insert(new, keyed);
            if let Some(instances) = self.keyed.get_mut(&keyed) {
                let replaced = instances
                    .iter()
                    .map(|other| if *other == old { new } else { *other });
                *instances = replaced.collect();
            }
        }
    }

    /// Removes every name of a service that has ended.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.remove_instance(handle);
        if let Some(name) = self.registered_name.remove(&handle) {
            self.registered.remove(&name);
        }
        self.local.retain(|_, owner| *owner != handle);
    }

    /// Whether a service has any name.
    pub(crate) fn has(&self, handle: Handle) -> bool {
        self.registered_name.contains_key(&handle)
            || self.keyed_by_instance.contains_key(&handle)
            || self.local.values().any(|owner| *owner == handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Handle = Handle(1);
    const B: Handle = Handle(2);

    #[test]
    fn a_second_registration_of_a_name_is_an_error_that_names_its_owner() {
        let mut names = Names::default();
        names.register("sdb", A).unwrap();
        let error = names.register("sdb", B).unwrap_err();
        assert!(
            error.to_string().contains("@sdb") && error.to_string().contains(":00000001"),
            "{error}"
        );
        assert_eq!(names.resolve("@sdb"), Some(A));
    }

    #[test]
    fn another_name_for_the_same_service_replaces_its_old_one() {
        let mut names = Names::default();
        names.register("old", A).unwrap();
        names.register("new", A).unwrap();
        assert_eq!(names.resolve("@old"), None);
        assert_eq!(names.resolve("@new"), Some(A));
        names.register("old", B).unwrap();
    }

    #[test]
    fn unregistering_an_unknown_name_does_nothing() {
        let mut names = Names::default();
        assert_eq!(names.unregister("nobody"), None);
    }

    #[test]
    fn a_service_that_has_ended_leaves_no_name_behind() {
        let mut names = Names::default();
        names.register("sdb", A).unwrap();
        names.name_local("db", A).unwrap();
        assert!(names.has(A));
        names.remove(A);
        assert!(!names.has(A));
        assert_eq!((names.resolve("@sdb"), names.resolve(".db")), (None, None));
        names.register("sdb", B).unwrap();
    }

    #[test]
    fn local_and_registered_names_do_not_mix_and_a_text_without_a_prefix_is_no_name() {
        let mut names = Names::default();
        names.register("x", A).unwrap();
        names.name_local("x", B).unwrap();
        assert_eq!(
            (names.resolve("@x"), names.resolve(".x"), names.resolve("x")),
            (Some(A), Some(B), None)
        );
    }

    #[test]
    fn a_keyed_service_has_its_name_until_its_last_instance_has_ended() {
        let mut names = Names::default();
        let keyed = Handle(1 << 31 | 7);
        names.add_keyed(keyed, Arc::from([A, B])).unwrap();
        names.register("sdb", keyed).unwrap();
        let instances = |names: &Names| [0, 1, 2].map(|shard| names.instance(keyed, shard));
        assert_eq!(instances(&names), [Some(A), Some(B), Some(A)]);
        assert!(names.has(A));
        names.remove(A);
        assert_eq!(instances(&names), [None, Some(B), None]);
        assert_eq!(names.resolve("@sdb"), Some(keyed));
        names.remove(B);
        assert_eq!(names.resolve("@sdb"), None);
        assert_eq!((instances(&names), names.has(B)), ([None; 3], false));
    }

    #[test]
    fn another_life_of_a_service_takes_all_its_names_and_its_place() {
        let mut names = Names::default();
        let keyed = Handle(1 << 31 | 7);
        names.register("sdb", A).unwrap();
        names.name_local("db", A).unwrap();
        names.add_keyed(keyed, Arc::from([A])).unwrap();
        names.replace(A, B);
        assert_eq!((names.resolve("@sdb"), names.resolve(".db")), (Some(B), Some(B)));
        assert_eq!(names.instance(keyed, 0), Some(B));
        assert!(!names.has(A));
        names.remove(B);
        assert_eq!((names.resolve("@sdb"), names.resolve(".db")), (None, None));
        assert_eq!(names.instance(keyed, 0), None);
    }

    #[test]
    fn the_length_of_names_is_bounded() {
        let mut names = Names::default();
        names.register(&"n".repeat(NAME_BYTES_MAX - 1), A).unwrap();
        assert!(names.register(&"n".repeat(NAME_BYTES_MAX), B).is_err());
        assert!(names.register("", B).is_err());
    }
}
