//! How to add a module, and what a module can use.
//!
//! *In Lua*: add the file to `lualib/` and a line to the table in `lualib.rs`. It takes precedence over the user's
//! paths.
//!
//! *In Rust*: write a function `fn open(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Value>` that returns the module's
//! table, and add a line to the table in `modules.rs`. Add its functions with `library::Module`, whose `add` and
//! `add_with_host` do nothing when a finalizer calls them while the interpreter is being closed. A function made with
//! `lua.create_function` has no such guard: at that time mlua no longer refers to its interpreter, and most of its
//! methods (`lua.load`, `lua.app_data_ref`, the bytes of a string) abort the process. For the same reason a function
//! does not fetch its host from the interpreter: `open` gets the host, and the functions own a reference to it.
//!
//! mlua's safe functions suffice, without unsafe code. A module can use:
//!
//! - `host.caller`: the service's interface to the engine: it posts messages, spawns futures, logs.
//! - `take_message`, [`give_message`]: messages as Lua holds them, an address and a size.
//! - `host.next_session()` and [`answer`] for an operation that takes time. The function in Rust takes a session, spawns
//!   a future with `host.caller.spawn(...)`, and returns the session; the future ends with `answer(&caller, session,
//!   result)`. In Lua, `require("skyring.host").await(session)` suspends the coroutine and returns the values of the
//!   answer, or raises the text of its error.
//! - Events: `caller.post(caller.handle(), Kind(6), 0, Payload(bytes))` sends `bytes` to the service's handler for kind
//!   6, which gets them as the arguments `(msg, sz)` of `unpack` of its protocol. They are in order with all other
//!   messages.

use bytes::Bytes;
use mlua::LightUserData;
use skyring::{Caller, Error, Payload};

use crate::buffer;
use crate::host::Host;
use crate::raw::core;

/// Resumes the coroutine that waits in `await(session)` with this result.
pub fn answer(caller: &Caller, session: u32, result: Result<Payload, Error>) {
    caller.answer_post(caller.handle(), session, result);
}

/// Takes the message at an address. This releases a packed message.
///
/// # Errors
/// When there is no message at this address.
pub(crate) fn take_message(host: &Host, address: LightUserData, size: i64) -> mlua::Result<Bytes> {
    core::take(host, address.0 as usize, size)
        .ok_or_else(|| mlua::Error::runtime("there is no message at this address"))
}

/// Passes a message to Lua as an address and a size. Lua releases it by sending it or with `skynet.trash`.
///
/// # Errors
/// When Lua holds too many messages.
pub fn give_message(bytes: Bytes) -> mlua::Result<(LightUserData, i64)> {
    let size = bytes.len() as i64;
    let address = buffer::insert(bytes).map_err(mlua::Error::runtime)?;
    Ok((LightUserData(address as *mut std::ffi::c_void), size))
}
