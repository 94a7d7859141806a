//! The errors of methods, at the service and at the caller.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use skyring_codec::seri::{self, Shape};

use crate::error::Error;

/// Why a call of a method with an error type of its own failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method answered with this error.
    Service(E),
    /// The call failed. Also an error of the method of which only the text arrived, because it passed through the
    /// skynet dialect, or because its type is another one there.
    Call(Error),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Service(error) => error.fmt(formatter),
            CallError::Call(error) => error.fmt(formatter),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> CallError<E> {
        CallError::Call(error)
    }
}

impl<E: fmt::Display> From<CallError<E>> for Error {
    /// The error with which a service passes it on: that of the method as its text.
    fn from(error: CallError<E>) -> Error {
        match error {
            CallError::Service(error) => Error::remote(error.to_string()),
            CallError::Call(error) => error,
        }
    }
}

/// The error type of a method: [`Error`], or a serde type with a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a service's method",
    label = "this type cannot be sent, read and shown",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it and implement `Display`, or use `skyring::Error`"
)]
pub trait MethodError: Sized {
    /// What the caller gets.
    type AtCaller: From<Error>;

    /// The error as the service answers with it.
    fn into_error(self) -> Error;

    /// The error of a call as the caller gets it.
    fn at_caller(error: Error) -> Self::AtCaller;

    /// The shape of the error's value; `None` for an error that is only a text.
    fn shape() -> Option<Shape>;
}

impl MethodError for Error {
    type AtCaller = Error;

    fn into_error(self) -> Error {
        self
    }

    fn at_caller(error: Error) -> Error {
        error
    }

    fn shape() -> Option<Shape> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned + fmt::Display> MethodError for E {
    type AtCaller = CallError<E>;

    fn into_error(self) -> Error {
        match seri::to_bytes(&OneValue(&self)) {
            Ok(value) => Error::remote_value(self.to_string(), &value),
            // Its text can always be sent.
            Err(_) => Error::remote(self.to_string()),
        }
    }

    fn at_caller(error: Error) -> CallError<E> {
        match &error {
            Error::Remote {
                value: Some(value), ..
            } => match seri::values(value).deserialize() {
                Ok(own) => CallError::Service(own),
                Err(_) => CallError::Call(error),
            },
            _ => CallError::Call(error),
        }
    }

    fn shape() -> Option<Shape> {
        Some(Shape::of::<E>())
    }
}

/// Written as one value, whatever its type: a tuple at the top would be several.
#[derive(Serialize)]
#[serde(transparent)]
struct OneValue<'a, E>(&'a E);
