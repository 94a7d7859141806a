//! The services of a shard.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::placement::shard_of_handle;
use crate::core::request::ReplyTo;
use crate::error::{Error, Text};
use crate::service::deliver::Deliver;
use crate::service::end::End;
use crate::service::kinds::Kinds;
use crate::service::life::Life;
use crate::service::list::ServiceInfo;
use crate::service::status::Sums;
use crate::service::supervision::{Restarting, Supervision};

/// The service room of one shard.
pub(crate) struct ServiceShard {
    pub(super) services: RefCell<FxHashMap<Handle, Rc<dyn Deliver>>>,
    /// What each service was launched as. Apart, because every message looks for its service.
    pub(super) descriptions: RefCell<FxHashMap<Handle, Text>>,
    /// The kinds that can be launched by name.
    pub(crate) kinds: Kinds,
    /// The services that are between two lives.
    restarting: RefCell<Restarting>,
    /// The counters of services that have ended.
    pub(super) ended: RefCell<Sums>,
    /// The supervision of the service that is being launched.
    launching: RefCell<Option<(Handle, Supervision, ReplyTo)>>,
}

impl ServiceShard {
    pub(crate) fn new(kinds: Kinds) -> ServiceShard {
        ServiceShard {
            services: RefCell::default(),
            descriptions: RefCell::default(),
            kinds,
            restarting: RefCell::default(),
            ended: RefCell::default(),
            launching: RefCell::default(),
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
        if self
            .launching
            .borrow()
            .as_ref()
            .is_some_and(|launching| launching.0 == handle)
            && let Some((_, supervision, watch)) = self.launching.take()
        {
            // The first watch: there is space for it.
            service.life().add_watch(watch);
            service.life().supervision.replace(Some(supervision));
        }
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
            messages_waiting: service.life().messages_waiting(),
            tasks: service.life().tasks.borrow().len(),
            restarts: supervised(service, |supervision| supervision.restarts),
            last_end: supervised(service, |supervision| supervision.last_end.clone()),
        };
        self.services.borrow().iter().map(describe).collect()
    }

    /// Removes a service, and its names unless its supervisor starts it again. Its unanswered calls fail, and its watches
    /// are answered. `cause`: how it ends; `None`: as it has requested.
    pub(super) fn remove(&self, shard: &Rc<ShardCore>, handle: Handle, cause: Option<End>) {
        let removed = self.services.borrow_mut().remove(&handle);
        if let (Some(service), false) = (&removed, shard.stopping.get()) {
            self.keep_figures(shard, handle, &**service);
        }
        self.descriptions.borrow_mut().remove(&handle);
        let Some(service) = removed else { return };
        let life = service.life();
        let requested = life.take_cause();
        let end = cause.or(requested).unwrap_or(End::Exited);
        let is_kept = life
            .supervision
            .borrow()
            .as_ref()
            .is_some_and(|supervision| supervision.is_kept_after(&end));
        if is_kept && !shard.stopping.get() {
            self.keep(shard, handle, &end);
        } else {
            self.restarting.borrow_mut().remove(handle);
            shard.remove_names(handle);
        }
        shard.service_ended(handle);
        shard.tracing.forget_posted(handle);
        service.end();
        for watch in service.life().take_watches() {
            shard.reply(watch, end.to_payload());
        }
    }

    /// Remembers a life that has ended, or is about to, of a service that is started again.
    fn keep(&self, shard: &ShardCore, handle: Handle, end: &End) {
        let names = shard.names.read(|names| names.names_of(handle));
        let name = names.into_iter().next().unwrap_or_else(|| handle.to_string());
        self.restarting
            .borrow_mut()
            .insert(handle, name.into(), end.clone());
    }

    /// Notes that a service stops: calls to it fail as restarted from now on, if it will be.
    pub(super) fn note_stop(&self, shard: &ShardCore, handle: Handle, life: &Life) {
        let supervision = life.supervision.borrow();
        if supervision
            .as_ref()
            .is_some_and(|supervision| supervision.is_kept_after(&End::Exited))
        {
            self.keep(shard, handle, &End::Exited);
        }
    }

    /// How the life with this handle ended, of a service that is started again.
    pub(super) fn end_of(&self, handle: Handle) -> Option<End> {
        self.restarting.borrow().end_of(handle)
    }

    /// The error of a call to the life with this handle, if its service is started again.
    pub(super) fn restart_error(&self, handle: Handle, may_have_run: bool) -> Option<Error> {
        self.restarting.borrow().error(handle, may_have_run)
    }

    /// The error of a call to a service that is not here, or takes no more messages. The call has not run.
    #[cold]
    pub(crate) fn error_of_absent(&self, shard: &ShardCore, handle: Handle) -> Error {
        if let Some(error) = self.restart_error(handle, false) {
            return error;
        }
        if self.has(handle) && shard.node.is_stopping.load(Ordering::Relaxed) {
            return Error::ShuttingDown;
        }
        Error::NoSuchService {
            address: handle.to_string().into(),
        }
    }

    /// Launches a life of a supervised service with `work`; `watch` is answered when it ends. It takes over the names of
    /// the life before, `old`.
    pub(super) fn launch_supervised(
        &self,
        shard: &Rc<ShardCore>,
        old: Option<Handle>,
        handle: Handle,
        supervised: (Supervision, ReplyTo),
        work: impl FnOnce(&Rc<ShardCore>, Handle) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (supervision, watch) = supervised;
        if let Some(old) = old {
            if shard.names.read(|names| names.has(old)) {
                let _ = shard.node.names.update(|names| {
                    names.replace(old, handle);
                    Ok::<(), ()>(())
                });
            }
            let end = supervision.last_end.clone().unwrap_or(End::Exited);
            self.restarting.borrow_mut().replace(old);
            // Until it is there, and if it does not start.
            self.keep(shard, handle, &end);
        }
        self.launching.replace(Some((handle, supervision, watch)));
        let launched = work(shard, handle);
        // Constructing it may fail before there is a service.
        self.launching.take();
        if launched.is_ok() && self.has(handle) {
            self.restarting.borrow_mut().remove(handle);
        }
        launched
    }

    /// Frees the names of a service that its supervisor does not start again.
    pub(super) fn give_up(&self, shard: &ShardCore, handle: Handle) {
        if self.restarting.borrow_mut().remove(handle) {
            shard.remove_names(handle);
        }
    }

    /// The top-level services with something to do before they end, for a node that stops: supervisors stop theirs.
    pub(super) fn to_be_stopped(&self) -> Vec<Handle> {
        let services = self.services.borrow();
        let to_be_stopped = services
            .iter()
            .filter(|(_, service)| !service.stops_at_once() && service.life().supervision.borrow().is_none());
        to_be_stopped.map(|(handle, _)| *handle).collect()
    }

    /// Removes all services: the shard stops.
    pub(crate) fn end_all(&self, shard: &Rc<ShardCore>) {
        let handles: Vec<Handle> = self.services.borrow().keys().copied().collect();
        for handle in handles {
            self.remove(shard, handle, Some(End::NodeStopping));
        }
    }
}

fn supervised<T: Default>(service: &Rc<dyn Deliver>, read: impl FnOnce(&Supervision) -> T) -> T {
    service
        .life()
        .supervision
        .borrow()
        .as_ref()
        .map(read)
        .unwrap_or_default()
}

impl ShardCore {
    /// The services of this shard.
    pub(crate) fn services(&self) -> &ServiceShard {
        self.room()
    }

    /// Removes a service of this shard; see [`ServiceShard::remove`].
    pub(super) fn remove_service(self: &Rc<Self>, handle: Handle, cause: Option<End>) {
        self.services().remove(self, handle, cause);
    }

    /// Ends a supervised service, whichever shard it is on, which is not started again.
    pub(super) fn end_for_good(self: &Rc<Self>, handle: Handle) {
        let owner = shard_of_handle(handle, self.shards());
        self.run_on(owner, move |shard| {
            if let Some(service) = shard.services().get(handle)
                && let Some(supervision) = &mut *service.life().supervision.borrow_mut()
            {
                supervision.is_kept = Some(false);
            }
            shard.remove_service(handle, Some(End::Killed));
        });
    }

    /// Ends a service of this shard that has requested it, after its `stop`.
    pub(super) fn finish_service(&self, handle: Handle) {
        if let Some(service) = self.services().get(handle) {
            service.finish();
        }
    }

    /// Frees the names of a service, and its place among the instances of a keyed one.
    fn remove_names(&self, handle: Handle) {
        if self.names.read(|names| names.has(handle)) {
            let _ = self.node.names.update(|names| {
                names.remove(handle);
                Ok::<(), ()>(())
            });
        }
    }

    /// Ends a service, whichever shard it is on; a keyed service with all its instances.
    pub(crate) fn end_service(self: &Rc<Self>, handle: Handle) {
        for instance in self.names.read(|names| names.instances(handle)) {
            self.end_service(instance);
        }
        let owner = shard_of_handle(handle, self.shards());
        self.run_on(owner, move |shard| {
            shard.remove_service(handle, Some(End::Killed))
        });
    }
}
