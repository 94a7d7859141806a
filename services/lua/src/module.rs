//! How a module is added, and what it gets to work with.
//!
//! *In Lua*: put the file into `lualib/` and a line into the table in `lualib.rs`. It is found before the user's
//! paths.
//!
//! *In Rust*: write a function `fn open(lua: &Lua) -> mlua::Result<Value>` that gives the module's table, and put
//! a line into the table in `modules.rs`. With mlua's safe functions nothing here is unsafe; the functions below
//! give what a module needs of its service:
//!
//! - [`caller`]: the service towards the engine: it posts, spawns futures, logs. A function that finalizers may
//!   call keeps it from when its module was opened: an interpreter that is being closed must not be asked.
//! - [`take_message`], [`give_message`]: messages as Lua holds them, an address and a size.
//! - [`new_session`] and [`answer`]: something that takes time. The function in Rust takes a session, spawns a
//!   future with `caller(lua).spawn(...)`, and returns the session; the future ends with `answer(&caller, session,
//!   result)`. In Lua, `require("skyring.host").await(session)` lets the coroutine go and gives the values of the
//!   answer, or raises the text of its error.
//! - Events: `caller.post(caller.handle(), Kind(6), 0, Payload(bytes))` brings `bytes` to the service's handler
//!   for kind 6, as `unpack(msg, sz)` of its protocol sees them. They are in order with all other messages.

use std::rc::Rc;

use bytes::Bytes;
use mlua::{LightUserData, Lua};
use skyring::{Caller, Error, Payload};

use crate::buffer;
use crate::host::Host;
use crate::raw::core;

/// The host of an interpreter, which is not being closed.
pub(crate) fn host(lua: &Lua) -> Rc<Host> {
    let host = lua.app_data_ref::<Rc<Host>>();
    // `raw::state::open` has put it there, and nothing takes it out.
    Rc::clone(&host.expect("every interpreter has its host"))
}

/// The service of an interpreter, towards the engine.
pub fn caller(lua: &Lua) -> Caller {
    host(lua).caller.clone()
}

/// A session that the service does not use; give it to [`answer`].
pub fn new_session(lua: &Lua) -> u32 {
    host(lua).next_session()
}

/// Ends what a coroutine waits for in `await(session)`.
pub fn answer(caller: &Caller, session: u32, result: Result<Payload, Error>) {
    caller.answer_post(caller.handle(), session, result);
}

/// The message at an address; a packed one is given up by this.
///
/// # Errors
/// When there is none.
pub fn take_message(lua: &Lua, address: LightUserData, size: i64) -> mlua::Result<Bytes> {
    take_message_of(&host(lua), address, size)
}

/// The same for whoever has the host.
pub(crate) fn take_message_of(host: &Host, address: LightUserData, size: i64) -> mlua::Result<Bytes> {
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
