//! Messages to a service, and its answers.

use std::future::Future;
use std::pin::Pin;

use skyring_codec::seri::{Pack, Unpack};

use crate::core::handle::Handle;
use crate::core::payload::{Kind, Payload};
use crate::error::Error;

/// A message to a service.
#[derive(Debug)]
pub struct Message {
    /// The service of this node that sent it; [`Handle::NONE`] for any other sender.
    pub source: Handle,
    /// 0 for a send; anything else for a call, which expects an answer.
    pub session: u32,
    /// The kind of message.
    pub kind: Kind,
    /// Its values.
    pub payload: Payload,
}

impl Message {
    /// Whether it is a call, which expects an answer.
    pub fn is_call(&self) -> bool {
        self.session != 0
    }

    /// Reads the values; see [`Payload::unpack`].
    ///
    /// # Errors
    /// [`Error::Invalid`], like that method.
    pub fn unpack<'a, T: Unpack<'a>>(&'a self) -> Result<T, Error> {
        self.payload.unpack()
    }
}

/// A future that a service answers with.
pub(crate) type LaterAnswer = Pin<Box<dyn Future<Output = Result<Payload, Error>>>>;

/// The answer of a handler to a message.
pub struct Answer(pub(crate) AnswerKind);

pub(crate) enum AnswerKind {
    Now(Result<Payload, Error>),
    Later(LaterAnswer),
    None,
}

impl Answer {
    /// Answers at once with these values. Costs no task.
    pub fn now<T: Pack + ?Sized>(values: &T) -> Answer {
        Answer(AnswerKind::Now(Payload::pack(values)))
    }

    /// Answers at once with values that are packed already.
    pub fn payload(payload: Payload) -> Answer {
        Answer(AnswerKind::Now(Ok(payload)))
    }

    /// Answers at once with an error; the caller gets its text.
    pub fn error(error: impl Into<Error>) -> Answer {
        Answer(AnswerKind::Now(Err(error.into())))
    }

    /// Answers when the future completes. Other messages are handled meanwhile. If the service exits first, the
    /// future is dropped and the call fails.
    pub fn later(future: impl Future<Output = Result<Payload, Error>> + 'static) -> Answer {
        Answer(AnswerKind::Later(Box::pin(future)))
    }

    /// No answer: the message was a send, or its [`Responder`](crate::Responder) was taken and will answer. A call
    /// that has neither an answer nor a taken responder fails, so that its caller does not wait in vain.
    pub fn none() -> Answer {
        Answer(AnswerKind::None)
    }
}

impl From<Result<Payload, Error>> for Answer {
    fn from(result: Result<Payload, Error>) -> Answer {
        Answer(AnswerKind::Now(result))
    }
}
