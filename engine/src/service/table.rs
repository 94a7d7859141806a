//! The services of a shard.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::placement::shard_of_handle;
use crate::service::deliver::Deliver;
use crate::service::kinds::Kinds;

/// The service room of one shard.
pub(crate) struct ServiceShard {
    services: RefCell<FxHashMap<Handle, Rc<dyn Deliver>>>,
    /// The kinds that can be launched by name.
    pub(super) kinds: Kinds,
}

impl ServiceShard {
    pub(crate) fn new(kinds: Kinds) -> ServiceShard {
        ServiceShard {
            services: RefCell::default(),
            kinds,
        }
    }

    /// The service with this handle.
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Option<Rc<dyn Deliver>> {
        self.services.borrow().get(&handle).cloned()
    }

    /// Whether there is a service with this handle.
    pub(crate) fn has(&self, handle: Handle) -> bool {
        self.services.borrow().contains_key(&handle)
    }

    /// Adds a service.
    pub(super) fn insert(&self, handle: Handle, service: Rc<dyn Deliver>) {
        self.services.borrow_mut().insert(handle, service);
    }

    /// Removes a service and its names. Its unanswered calls fail.
    pub(super) fn remove(&self, shard: &Rc<ShardCore>, handle: Handle) {
        let removed = self.services.borrow_mut().remove(&handle);
        if let Some(service) = removed {
            if shard.names.read(|names| names.has(handle)) {
                let _ = shard.node.names.update(|names| {
                    names.remove(handle);
                    Ok::<(), ()>(())
                });
            }
            shard.service_ended(handle);
            service.end();
        }
    }

    /// Removes all services: the shard stops.
    pub(crate) fn end_all(&self, shard: &Rc<ShardCore>) {
        let handles: Vec<Handle> = self.services.borrow().keys().copied().collect();
        for handle in handles {
            self.remove(shard, handle);
        }
    }
}

impl ShardCore {
    /// The services of this shard.
    pub(super) fn services(&self) -> &ServiceShard {
        self.room()
    }

    /// Removes a service of this shard.
    pub(super) fn remove_service(self: &Rc<Self>, handle: Handle) {
        self.services().remove(self, handle);
    }

    /// Ends a service, whichever shard it is on; a keyed service with all its instances.
    pub(crate) fn end_service(self: &Rc<Self>, handle: Handle) {
        for instance in self.names.read(|names| names.instances(handle)) {
            self.end_service(instance);
        }
        let owner = shard_of_handle(handle, self.shards());
        self.run_on(owner, move |shard| shard.remove_service(handle));
    }
}
