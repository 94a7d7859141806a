//! The context of a service.

use std::ops::Deref;
use std::rc::Rc;

use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::cell::ServiceCell;
use crate::service::responder::Responder;

/// The context of a service. Clone it into futures; it has every operation of [`Caller`].
pub struct Context<S>(pub(crate) Rc<ServiceCell<S>>);

impl<S> Clone for Context<S> {
    fn clone(&self) -> Context<S> {
        Context(Rc::clone(&self.0))
    }
}

impl<S> Deref for Context<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0.caller
    }
}

impl<S: Service> Context<S> {
    /// Reads or changes the service's state from one of its futures. Nothing else of the service runs meanwhile, as
    /// the closure cannot wait.
    ///
    /// # Panics
    /// When called inside the handler, which has the state already as `&mut self`.
    pub fn update<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        // A message that the closure sends to the service itself must wait until the state is no longer borrowed.
        self.shard.hold_messages(|| {
            let mut state = self.0.state.borrow_mut();
            match state.as_mut() {
                Some(state) => change(state),
                None => panic!("the state of a service that has ended was asked for"),
            }
        })
    }

    /// Takes the responder of the current message; the handler then returns [`Answer::none`](crate::Answer::none).
    /// Outside a handler there is nothing to answer.
    pub fn responder(&self) -> Responder {
        self.0.take_responder()
    }
}
