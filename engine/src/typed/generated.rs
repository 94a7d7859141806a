//! Small functions that the code of the attribute calls, so that it stays short. Everything here can be written with
//! the public items of the crate.

use std::fmt::Display;

use skyring_codec::seri::{Pack, Unpack};
pub use skyring_codec::seri::{Packer, SerdeError, Shape, Values};

use crate::core::payload::Payload;
use crate::error::Error;
use crate::service::message::{Answer, Message};
use crate::typed::arguments::Arguments;
use crate::typed::declaration::{Declaration, MethodDeclaration};
use crate::typed::error::MethodError;
use crate::typed::interface::{DESCRIBE, Interface};
use crate::typed::service::TypedService;

/// Writes a value that is packed without serde.
///
/// # Errors
/// [`SerdeError`] when it cannot be packed.
#[inline]
pub fn put_plain<T: Pack + ?Sized>(packer: &mut Packer<'_>, value: &T) -> Result<(), SerdeError> {
    value.pack(packer).map_err(SerdeError::from)
}

/// Reads a value that is packed without serde.
///
/// # Errors
/// [`SerdeError`] when it is of another type.
#[inline]
pub fn take_plain<'a, T: Unpack<'a>>(values: &mut Values<'a>) -> Result<T, SerdeError> {
    T::unpack(values).map_err(SerdeError::from)
}

/// The answer for a command that is no method's: the interface, or the error.
#[cold]
pub fn unknown(
    command: Option<&[u8]>,
    arguments: &Arguments<'_>,
    declaration: &'static Declaration,
) -> Answer {
    described(command, declaration).unwrap_or_else(|| Answer::error(arguments.unknown()))
}

/// The interface, if the command asks for it.
#[cold]
pub fn described(command: Option<&[u8]>, declaration: &'static Declaration) -> Option<Answer> {
    let is_asked = command.is_some_and(|command| command == DESCRIBE.as_bytes());
    is_asked.then(|| Answer::from(Interface::from(declaration).to_payload()))
}

/// The arguments of a message whose command has been taken.
#[inline]
pub fn arguments<S: TypedService>(message: &Message) -> Arguments<'_> {
    let mut arguments = Arguments::new(&message.payload, S::DECLARATION);
    let _ = arguments.command();
    arguments
}

/// A message of its own with the same payload.
pub fn keep(message: &Message) -> Message {
    Message {
        payload: message.payload.clone(),
        ..*message
    }
}

/// The answer of a method with an error of its own.
///
/// # Errors
/// That of the method, as the caller gets it.
#[inline]
pub fn succeed<T, E: MethodError>(result: Result<T, E>) -> Result<T, Error> {
    result.map_err(E::into_error)
}

/// Reads the answer of a call.
///
/// # Errors
/// That of the call; [`Error::Remote`] when the answer is not of the method's type.
#[inline]
pub fn read_answer<T>(
    outcome: Result<Payload, Error>,
    method: &MethodDeclaration,
    read: impl FnOnce(&mut Values<'_>) -> Result<T, SerdeError>,
) -> Result<T, Error> {
    let payload = outcome?;
    read(&mut skyring_codec::seri::values(&payload.0)).map_err(|error| invalid_answer(method, &error))
}

#[cold]
fn invalid_answer(method: &MethodDeclaration, error: &dyn Display) -> Error {
    Error::remote(format!("invalid answer to {method}: {error}"))
}
