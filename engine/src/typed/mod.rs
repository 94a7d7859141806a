//! Typed services: the code that [`service`](macro@crate::service) writes, as items that one can also write against
//! by hand.
//!
//! The attribute turns an `impl` block into three things: a [`TypedService`], whose [`dispatch`](TypedService::dispatch)
//! reads the arguments of each command and calls the method; a [`Service`](crate::Service), whose handler is
//! [`handle`]; and a client, a struct with a method for each command that returns a [`TypedCall`].
//!
//! Invariants: on the wire there is nothing but what Lua writes, the name of the command and its arguments; a method
//! runs only if all of its arguments could be read; an answer at once costs no task and no more allocations than one of
//! a handler written by hand.

mod arguments;
mod call;
mod compatible;
mod declaration;
mod error;
pub mod generated;
mod interface;
mod place;
mod service;
mod value;

pub use arguments::Arguments;
pub use call::TypedCall;
pub use compatible::Incompatible;
pub use declaration::{ArgumentDeclaration, Declaration, MethodDeclaration};
pub use error::{CallError, MethodError};
pub use interface::{DESCRIBE, Interface, Method, MethodArgument};
pub use place::Place;
pub use service::{TypedService, handle};
pub use skyring_codec::seri::{Field, Shape, Variant};
pub use value::{AnswerValue, ArgumentValue};
