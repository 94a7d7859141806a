//! The arguments of a command, read one by one, and the errors that say what is wrong with them.

use skyring_codec::seri::{self, SerdeError, Unpack, UnpackError, ValueRef, Values};

use crate::core::payload::Payload;
use crate::error::Error;
use crate::typed::declaration::{Declaration, MethodDeclaration};

/// Characters of a caller's text that an error quotes.
const TEXT_SHOWN: usize = 200;

/// The values of a message to a typed service: its command, then the arguments.
pub struct Arguments<'a> {
    values: Values<'a>,
    payload: &'a [u8],
    declaration: &'static Declaration,
}

impl<'a> Arguments<'a> {
    /// The values of a message to the service of a declaration.
    #[inline]
    pub fn new(payload: &'a Payload, declaration: &'static Declaration) -> Arguments<'a> {
        Arguments {
            values: seri::values(&payload.0),
            payload: &payload.0,
            declaration,
        }
    }

    /// Takes the command; `None` when the first value is no string.
    #[inline]
    pub fn command(&mut self) -> Option<&'a [u8]> {
        <&[u8]>::unpack(&mut self.values).ok()
    }

    /// Takes the next argument as a type that is packed without serde: a number, a text, bytes.
    ///
    /// # Errors
    /// An error that names the method, what was expected and what came.
    #[inline]
    pub fn plain<T: Unpack<'a>>(&mut self) -> Result<T, Error> {
        match T::unpack(&mut self.values) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.refuse(error.into())),
        }
    }

    /// Takes the next argument as a serde type.
    ///
    /// # Errors
    /// As [`plain`](Self::plain).
    #[inline]
    pub fn value<T: serde::Deserialize<'a>>(&mut self) -> Result<T, Error> {
        match self.values.deserialize() {
            Ok(value) => Ok(value),
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Checks that no arguments are left. Nil is no argument: a newer caller may know of further optional ones.
    ///
    /// # Errors
    /// An error that names the method, how many arguments are expected, and how many came.
    #[inline]
    pub fn end(&self) -> Result<(), Error> {
        if self.values.rest().is_empty() {
            return Ok(());
        }
        self.end_with_more()
    }

    #[cold]
    fn end_with_more(&self) -> Result<(), Error> {
        for value in self.values {
            match value {
                Ok(ValueRef::Nil) => {}
                Ok(_) => return Err(self.wrong_number()),
                Err(error) => return Err(self.refuse(error.into())),
            }
        }
        Ok(())
    }

    /// The error for a command that the service does not have.
    #[cold]
    pub fn unknown(&self) -> Error {
        let names: Vec<&str> = self
            .declaration
            .methods
            .iter()
            .map(|method| method.name)
            .collect();
        let (name, known) = (self.declaration.name, names.join(", "));
        match seri::values(self.payload).next() {
            Some(Ok(ValueRef::String(command))) => {
                let command = shorten(&String::from_utf8_lossy(command));
                Error::remote(format!("unknown command {command}: {name} has {known}"))
            }
            Some(Ok(other)) => Error::remote(format!(
                "the command should be a string, but is {}: {name} has {known}",
                with_article(other.kind())
            )),
            Some(Err(error)) => Error::remote(format!("invalid message to {name}: {error}")),
            None => Error::remote(format!("no command came: {name} has {known}")),
        }
    }

    fn method(&self) -> Option<&'static MethodDeclaration> {
        let command = seri::unpack::<&[u8]>(self.payload).ok()?;
        self.declaration.method(command)
    }

    /// How many arguments came, without nils at the end.
    fn count(&self) -> usize {
        let mut count = 0;
        for (at, value) in seri::values(self.payload).enumerate() {
            if !matches!(value, Ok(ValueRef::Nil)) {
                count = at;
            }
        }
        count
    }

    /// The error for an argument that cannot be read.
    #[cold]
    fn refuse(&self, error: SerdeError) -> Error {
        let Some(method) = self.method() else {
            return Error::remote(error.to_string());
        };
        if self.count() < method.arguments_required() && is_nil(&error) {
            return self.wrong_number();
        }
        // The command is the first value.
        let number = self.values.taken().saturating_sub(1);
        let name = number.checked_sub(1).and_then(|at| method.arguments.get(at));
        let name = name.map_or("", |argument| argument.name);
        let what = match &error {
            SerdeError::Unpack(UnpackError::Mismatch { wanted, found, .. }) => {
                format!("should be {wanted}, but is {}", with_article(*found))
            }
            SerdeError::Unpack(UnpackError::IntegerOutOfRange { wanted, value, .. }) => {
                format!("is {value}, which does not fit {wanted}")
            }
            SerdeError::Unpack(UnpackError::NotAnInteger { value, .. }) => {
                format!("should be an integer, but is {value}")
            }
            SerdeError::Unpack(UnpackError::NotUtf8 { .. }) => {
                "should be UTF-8, but is a string of other bytes".to_owned()
            }
            other => format!("is invalid: {}", shorten(&other.to_string())),
        };
        Error::remote(format!("{method}: argument {number}, {name}, {what}"))
    }

    #[cold]
    fn wrong_number(&self) -> Error {
        let Some(method) = self.method() else {
            return self.unknown();
        };
        let (least, most) = (method.arguments_required(), method.arguments.len());
        let expected = match (least, most) {
            (1, 1) => "1 is expected".to_owned(),
            (least, most) if least == most => format!("{most} are expected"),
            (least, most) => format!("{least} to {most} are expected"),
        };
        let came = match self.count() {
            1 => "1 argument came".to_owned(),
            count => format!("{count} arguments came"),
        };
        Error::remote(format!("{method}: {came}, and {expected}"))
    }
}

/// Whether the value that cannot be read is nil or missing.
fn is_nil(error: &SerdeError) -> bool {
    match error {
        SerdeError::Unpack(UnpackError::Mismatch { found, .. }) => *found == seri::Kind::Nil,
        // Serde's name for it.
        SerdeError::Message(text) => text.starts_with("invalid type: unit value"),
        _ => false,
    }
}

fn with_article(kind: seri::Kind) -> &'static str {
    match kind {
        seri::Kind::Nil => "nil",
        seri::Kind::Boolean => "a boolean",
        seri::Kind::Integer => "an integer",
        seri::Kind::Number => "a float",
        seri::Kind::String => "a string",
        seri::Kind::Table => "a table",
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
