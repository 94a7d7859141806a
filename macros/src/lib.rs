//! The attribute `#[skyring::service]`: an `impl` block becomes a typed service and its client.
//!
//! `read` turns the block into a list of methods and finds its mistakes, all of them at once, each at its place in the
//! source; `types` decides how a type is written; `server` and `client` write the code, `declaration` the constants
//! that describe the methods. The code calls public items of `skyring` only, by full paths.

mod client;
mod declaration;
mod method;
mod read;
mod server;
mod types;

use proc_macro::TokenStream;
use quote::quote;

/// Makes a service of an `impl` block, and a client for it.
///
/// Each method is a command with the method's name. It takes `&mut self` or `&self`, perhaps a `&Context<Self>`, and
/// arguments of serde types, which may borrow (`&str`, `&[u8]`); an `Option` may be left out by the caller. It answers
/// with a serde type, with several values as a tuple, or with a `Result` whose error is `skyring::Error` or a serde type
/// that implements `Display`.
///
/// ```ignore
/// #[skyring::service]
/// impl Counter {
///     /// Adds a number, and answers with the total.
///     fn add(&mut self, number: i64) -> i64 {
///         self.total += number;
///         self.total
///     }
/// }
/// ```
///
/// - `fn` answers at once. `async fn` answers later; it has no `self`, because other messages are handled between its
///   awaits: it takes a `&Context<Self>`, and `context.update(…)` gives it the state.
/// - `#[send]` on a method without a result: its clients send, and wait for no answer.
/// - `#[command("GET")]`: the command has another name than the method.
/// - `#[start]`, `#[answered]` and `#[socket]` are the methods of those names of the trait `Service`; `#[fallback]` gets
///   the messages that are no command of the service, as `fn(&mut self, &Context<Self>, Message) -> Answer`.
///
/// The client of `Counter` is `CounterClient`, which is as visible as the methods:
/// `CounterClient::at(caller.node("db"), "@counter").add(5).await?`. The book's chapter "Typed services" has all of it,
/// and the code that the attribute writes.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let block = match read::block(arguments.into(), item.clone().into()) {
        Ok(block) => block,
        Err(error) => {
            // The block stays, so that the rest of the program does not fail as well.
            let (error, item) = (error.to_compile_error(), read::without_marks(item.into()));
            return quote!(#item #error).into();
        }
    };
    let (item, server, client) = (&block.item, server::write(&block), client::write(&block));
    let mistakes = block.mistakes.as_ref().map(syn::Error::to_compile_error);
    quote!(#item #server #client #mistakes).into()
}
