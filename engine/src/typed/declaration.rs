//! What a service declares about its methods, as constants of the program.

use std::fmt::{self, Write as _};

use skyring_codec::seri::Shape;

/// The methods of a service.
#[derive(Debug)]
pub struct Declaration {
    /// The name of the service's type.
    pub name: &'static str,
    /// The documentation of the `impl` block.
    pub about: &'static str,
    /// Its methods, in the order of the source.
    pub methods: &'static [MethodDeclaration],
}

/// A method of a service.
#[derive(Debug)]
pub struct MethodDeclaration {
    /// The command that calls it.
    pub name: &'static str,
    /// Its documentation.
    pub about: &'static str,
    /// Whether its clients send and do not wait for an answer.
    pub is_send: bool,
    /// Its arguments.
    pub arguments: &'static [ArgumentDeclaration],
    /// The type of its result as the source writes it; empty if it has none.
    pub result_type: &'static str,
    /// The shapes of the values that it answers with.
    pub results: &'static [fn() -> Shape],
    /// The shape of its own error; `None` for a method without one.
    pub error: Option<fn() -> Option<Shape>>,
}

/// An argument of a method.
#[derive(Debug)]
pub struct ArgumentDeclaration {
    /// Its name.
    pub name: &'static str,
    /// Its type as the source writes it.
    pub type_name: &'static str,
    /// Whether it may be nil or missing.
    pub is_optional: bool,
    /// Its shape.
    pub shape: fn() -> Shape,
}

impl Declaration {
    /// The method of a command.
    pub fn method(&self, command: &[u8]) -> Option<&'static MethodDeclaration> {
        self.methods
            .iter()
            .find(|method| method.name.as_bytes() == command)
    }
}

impl MethodDeclaration {
    /// How many arguments a caller must give: up to the last that is not optional.
    pub fn arguments_required(&self) -> usize {
        let last = self.arguments.iter().rposition(|argument| !argument.is_optional);
        last.map_or(0, |last| last + 1)
    }
}

impl fmt::Display for MethodDeclaration {
    /// Writes the signature: `add(number: i64) -> i64`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}(", self.name)?;
        for (at, argument) in self.arguments.iter().enumerate() {
            if at > 0 {
                formatter.write_str(", ")?;
            }
            write!(formatter, "{}: {}", argument.name, argument.type_name)?;
        }
        formatter.write_char(')')?;
        match self.result_type {
            "" => Ok(()),
            result => write!(formatter, " -> {result}"),
        }
    }
}
