//! How a module is added, and what it gets to work with.
//!
//! *In Lua*: put the file into `lualib/` and a line into the table in `lualib.rs`. It is found before the user's
//! paths.
//!
//! *In Rust*: write a function `fn open(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Value>` that gives the module's
//! table, and put a line into the table in `modules.rs`. Add its functions with `library::Module`, whose `add` and
//! `add_of_host` do nothing when a finalizer calls them while the interpreter is being closed. A function that
//! is made with `lua.create_function` has no such guard: by then mlua has let its interpreter go, and most of what
//! it would be asked (`lua.load`, `lua.app_data_ref`, the bytes of a string) ends the process. For that reason no
//! interpreter is asked for its host: whoever opens a module gets it, and its functions keep it.
//!
//! With mlua's safe functions nothing here is unsafe. What a module needs of its service:
//!
//! - `host.caller`: the service towards the engine: it posts, spawns futures, logs.
//! - `take_message`, [`give_message`]: messages as Lua holds them, an address and a size.
//! - `host.next_session()` and [`answer`]: something that takes time. The function in Rust takes a session, spawns
//!   a future with `host.caller.spawn(...)`, and returns the session; the future ends with `answer(&caller, session,
//!   result)`. In Lua, `require("skyring.host").await(session)` lets the coroutine go and gives the values of the
//!   answer, or raises the text of its error.
//! - Events: `caller.post(caller.handle(), Kind(6), 0, Payload(bytes))` brings `bytes` to the service's handler
//!   for kind 6, as `unpack(msg, sz)` of its protocol sees them. They are in order with all other messages.

use bytes::Bytes;
use mlua::LightUserData;
use skyring::{Caller, Error, Payload};

use crate::buffer;
use crate::host::Host;
use crate::raw::core;

/// Ends what a coroutine waits for in `await(session)`.
pub fn answer(caller: &Caller, session: u32, result: Result<Payload, Error>) {
    caller.answer_post(caller.handle(), session, result);
}

/// The message at an address; a packed one is given up by this.
///
/// # Errors
/// When there is none.
pub(crate) fn take_message(host: &Host, address: LightUserData, size: i64) -> mlua::Result<Bytes> {
    core::take(host, address.0 as usize, size)
        .ok_or_else(|| mlua::Error::runtime("there is no message at this address"))
}

/// Gives Lua a message as an address and a size, which it gives up by sending it or with `skynet.trash`.
///
/// # Errors
/// When too many are held.
pub fn give_message(bytes: Bytes) -> mlua::Result<(LightUserData, i64)> {
    let size = bytes.len() as i64;
    let address = buffer::give(bytes).map_err(mlua::Error::runtime)?;
    Ok((LightUserData(address as *mut std::ffi::c_void), size))
}
