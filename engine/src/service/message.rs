//! What a service receives, and what it answers.

use std::future::Future;
use std::pin::Pin;

use skyring_codec::seri::{Pack, Unpack};

use crate::core::handle::Handle;
use crate::core::payload::{Kind, Payload};
use crate::error::Error;

/// What a service receives.
#[derive(Debug)]
pub struct Message {
    /// The service that sent it, on this node; [`Handle::NONE`] when it came from elsewhere.
    pub source: Handle,
    /// 0 for a send; anything else for a call, which wants an answer.
    pub session: u32,
    /// What sort of message it is.
    pub kind: Kind,
    /// Its values.
    pub payload: Payload,
}

impl Message {
    /// Whether an answer is wanted.
    pub fn is_call(&self) -> bool {
        self.session != 0
    }

    /// Reads the values; see [`Payload::unpack`].
    ///
    /// # Errors
    /// [`Error::Invalid`], as there.
    pub fn unpack<'a, T: Unpack<'a>>(&'a self) -> Result<T, Error> {
        self.payload.unpack()
    }
}

/// A future that a service answers with.
pub(crate) type LaterAnswer = Pin<Box<dyn Future<Output = Result<Payload, Error>>>>;

/// What a handler makes of a message.
pub struct Answer(pub(crate) AnswerKind);

pub(crate) enum AnswerKind {
    Now(Result<Payload, Error>),
    Later(LaterAnswer),
    Kept,
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

    /// Answers at once with an error; the caller sees its text.
    pub fn error(error: impl Into<Error>) -> Answer {
        Answer(AnswerKind::Now(Err(error.into())))
    }

    /// Answers when the future is done. Other messages are handled meanwhile. The future is dropped, and
    /// the caller told, if the service exits first.
    pub fn later(future: impl Future<Output = Result<Payload, Error>> + 'static) -> Answer {
        Answer(AnswerKind::Later(Box::pin(future)))
    }

    /// Nothing to say: the message was a send, or its [`Responder`](crate::Responder) was taken and will
    /// answer. A call that is neither answered nor kept gets an error, so that its caller does not wait
    /// in vain.
    pub fn none() -> Answer {
        Answer(AnswerKind::Kept)
    }
}

impl From<Result<Payload, Error>> for Answer {
    fn from(result: Result<Payload, Error>) -> Answer {
        Answer(AnswerKind::Now(result))
    }
}
