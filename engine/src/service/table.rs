//! The services of a shard.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::placement::shard_of_handle;
use crate::error::Text;
use crate::service::deliver::Deliver;
use crate::service::kinds::Kinds;
use crate::service::list::ServiceInfo;

/// The service room of one shard.
pub(crate) struct ServiceShard {
    services: RefCell<FxHashMap<Handle, Rc<dyn Deliver>>>,
    /// What each service was launched as. Apart, because every message looks for its service.
    descriptions: RefCell<FxHashMap<Handle, Text>>,
    /// The kinds that can be launched by name.
    pub(super) kinds: Kinds,
}

impl ServiceShard {
    pub(crate) fn new(kinds: Kinds) -> ServiceShard {
        ServiceShard {
            services: RefCell::default(),
            descriptions: RefCell::default(),
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

    /// Adds a service. `what` is its kind and arguments, or the name of its type.
    pub(super) fn insert(&self, handle: Handle, what: Text, service: Rc<dyn Deliver>) {
        self.descriptions.borrow_mut().insert(handle, what);
        self.services.borrow_mut().insert(handle, service);
    }

    /// The services, without their names.
    pub(super) fn list(&self, shard: usize) -> Vec<ServiceInfo> {
        let descriptions = self.descriptions.borrow();
        let describe = |(handle, service): (&Handle, &Rc<dyn Deliver>)| ServiceInfo {
            handle: *handle,
            shard,
            what: descriptions.get(handle).cloned().unwrap_or_default(),
            names: Vec::new(),
            messages_waiting: service.life().waiting.get(),
            tasks: service.life().tasks.borrow().len(),
        };
        self.services.borrow().iter().map(describe).collect()
    }

    /// Removes a service and its names. Its unanswered calls fail.
    pub(super) fn remove(&self, shard: &Rc<ShardCore>, handle: Handle) {
        self.descriptions.borrow_mut().remove(&handle);
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
