//! The types of arguments and of answers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skyring_codec::seri::{Packer, SerdeError, Shape, Values};

use crate::error::Error;
use crate::typed::arguments::Arguments;

/// A type of an argument: any serde type, which may borrow from the message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a service's method",
    label = "this type cannot be sent and read",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait ArgumentValue<'a>: Sized {
    /// Reads it as the next argument.
    ///
    /// # Errors
    /// An error that names the method, what was expected and what came.
    fn read(arguments: &mut Arguments<'a>) -> Result<Self, Error>;

    /// Writes it as one value.
    ///
    /// # Errors
    /// [`SerdeError`] when it cannot be packed.
    fn write(&self, packer: &mut Packer<'_>) -> Result<(), SerdeError>;

    /// Its shape.
    fn shape() -> Shape;
}

#[diagnostic::do_not_recommend]
impl<'a, T: Serialize + Deserialize<'a>> ArgumentValue<'a> for T {
    #[inline]
    fn read(arguments: &mut Arguments<'a>) -> Result<T, Error> {
        arguments.value()
    }

    #[inline]
    fn write(&self, packer: &mut Packer<'_>) -> Result<(), SerdeError> {
        packer.serialize(self)
    }

    fn shape() -> Shape {
        Shape::of::<T>()
    }
}

/// A type of an answer: any serde type that owns what it has, because it outlives the message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a service's method",
    label = "this type cannot be sent and read",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait AnswerValue: Sized {
    /// Reads it as the next value of an answer.
    ///
    /// # Errors
    /// [`SerdeError`] when the value is of another type.
    fn read(values: &mut Values<'_>) -> Result<Self, SerdeError>;

    /// Writes it as one value.
    ///
    /// # Errors
    /// [`SerdeError`] when it cannot be packed.
    fn write(&self, packer: &mut Packer<'_>) -> Result<(), SerdeError>;

    /// Its shape.
    fn shape() -> Shape;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> AnswerValue for T {
    #[inline]
    fn read(values: &mut Values<'_>) -> Result<T, SerdeError> {
        values.deserialize()
    }

    #[inline]
    fn write(&self, packer: &mut Packer<'_>) -> Result<(), SerdeError> {
        packer.serialize(self)
    }

    fn shape() -> Shape {
        Shape::of::<T>()
    }
}
