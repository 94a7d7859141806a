//! The interface of a service as data: what it answers to the command [`DESCRIBE`].

use std::fmt;

use serde::{Deserialize, Serialize};
use skyring_codec::seri::{self, Shape};

use crate::core::payload::Payload;
use crate::error::Error;
use crate::typed::declaration::{Declaration, MethodDeclaration};
use crate::typed::service::TypedService;

/// The command that every typed service answers with its [`Interface`].
pub const DESCRIBE: &str = "skyring.describe";

/// The methods of a service, with the shapes of their arguments and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name of the service's type.
    pub name: String,
    /// Its documentation.
    #[serde(default)]
    pub about: String,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// A method of an [`Interface`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// The command that calls it.
    pub name: String,
    /// Its documentation.
    #[serde(default)]
    pub about: String,
    /// Whether its clients send and do not wait for an answer.
    #[serde(default)]
    pub is_send: bool,
    /// Its arguments.
    pub arguments: Vec<MethodArgument>,
    /// The shapes of the values that it answers with.
    pub results: Vec<Shape>,
    /// The shape of its own error, if it has one.
    #[serde(default)]
    pub error: Option<Shape>,
}

/// An argument of a [`Method`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodArgument {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Whether it may be nil or missing.
    #[serde(default)]
    pub is_optional: bool,
}

impl Interface {
    /// The interface of a service.
    pub fn of<S: TypedService>() -> Interface {
        Interface::from(S::DECLARATION)
    }

    /// The interface as one packed value.
    ///
    /// # Errors
    /// [`Error::Invalid`] when types are nested too deeply to be packed.
    pub fn to_payload(&self) -> Result<Payload, Error> {
        Ok(Payload(seri::to_bytes(self)?))
    }

    /// The interface of an answer to [`DESCRIBE`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub fn from_payload(payload: &Payload) -> Result<Interface, Error> {
        Ok(seri::from_bytes(&payload.0)?)
    }

    /// The method of a command.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }
}

impl From<&'static Declaration> for Interface {
    fn from(declaration: &'static Declaration) -> Interface {
        Interface {
            name: declaration.name.to_owned(),
            about: declaration.about.to_owned(),
            methods: declaration.methods.iter().map(Method::from).collect(),
        }
    }
}

impl From<&'static MethodDeclaration> for Method {
    fn from(method: &'static MethodDeclaration) -> Method {
        let arguments = method.arguments.iter().map(|argument| MethodArgument {
            name: argument.name.to_owned(),
            shape: (argument.shape)(),
            is_optional: argument.is_optional,
        });
        Method {
            name: method.name.to_owned(),
            about: method.about.to_owned(),
            is_send: method.is_send,
            arguments: arguments.collect(),
            results: method.results.iter().map(|shape| shape()).collect(),
            error: method.error.and_then(|shape| shape()),
        }
    }
}

impl fmt::Display for MethodArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.shape)
    }
}

impl fmt::Display for Method {
    /// Writes the signature: `add(number: i64) -> i64`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |texts: Vec<String>| texts.join(", ");
        let arguments = join(self.arguments.iter().map(MethodArgument::to_string).collect());
        write!(formatter, "{}({arguments})", self.name)?;
        if !self.results.is_empty() {
            let results = join(self.results.iter().map(Shape::to_string).collect());
            write!(formatter, " -> {results}")?;
        }
        match &self.error {
            Some(error) => write!(formatter, " or {error}"),
            None => Ok(()),
        }
    }
}
