//! What is known about a service after its block has been read.

use quote::format_ident;
use syn::{Attribute, Error, Expr, Ident, ItemImpl, Lit, Meta, Type, Visibility};

use crate::types::Class;

/// A service.
pub(crate) struct Block {
    /// What is wrong with its methods.
    pub(crate) mistakes: Option<Error>,
    /// The block without the marks of the attribute.
    pub(crate) item: ItemImpl,
    /// The type of the service.
    pub(crate) name: Ident,
    pub(crate) about: String,
    pub(crate) methods: Vec<Method>,
    pub(crate) hooks: Vec<Hook>,
    /// That of the most visible method.
    pub(crate) visibility: Visibility,
}

/// A method of the trait `Service` that the block has itself.
pub(crate) struct Hook {
    pub(crate) kind: HookKind,
    pub(crate) name: Ident,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookKind {
    Start,
    Answered,
    Socket,
    Fallback,
}

/// A method that is a command.
pub(crate) struct Method {
    /// It has a mistake, so it cannot be called.
    pub(crate) is_broken: bool,
    pub(crate) name: Ident,
    /// The command that calls it.
    pub(crate) command: String,
    pub(crate) visibility: Visibility,
    /// Its documentation, for the client.
    pub(crate) docs: Vec<Attribute>,
    /// Its conditions, which what is written for it has as well.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) is_async: bool,
    pub(crate) is_send: bool,
    /// Its parameters but `self`, in order.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: MethodResult,
    /// The type of the result as the source writes it.
    pub(crate) result_type: String,
}

pub(crate) enum Parameter {
    /// `&Context<Self>`.
    Context,
    Argument(Box<Argument>),
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) class: Class,
    pub(crate) is_optional: bool,
    /// The type as the source writes it.
    pub(crate) text: String,
}

/// What a method answers with.
pub(crate) struct MethodResult {
    pub(crate) values: ResultValues,
    /// The type of its error.
    pub(crate) error: Option<Type>,
}

pub(crate) enum ResultValues {
    /// Several values, or one, or none.
    Values { classes: Vec<Class>, is_tuple: bool },
    /// Packed values.
    Payload(Type),
}

impl Block {
    pub(crate) fn client(&self) -> Ident {
        format_ident!("{}Client", self.name)
    }
}

impl Method {
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Argument(argument) => Some(&**argument),
            Parameter::Context => None,
        })
    }
}

/// The text of documentation comments.
pub(crate) fn about(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<String>>().join("\n").trim().to_owned()
}
