//! The modules of Skynet's library that are written in Rust, except the core.
//!
//! Their errors are strings, as in Skynet, and not the error values of mlua: a function returns [`MARK`] and the text of
//! its error, and a wrapper in Lua raises the text at the position of its caller.

pub(crate) mod base64;
pub(crate) mod crypt;
pub(crate) mod debugchannel;
pub(crate) mod events;
pub(crate) mod memory;
pub(crate) mod netpack;
pub(crate) mod socket_buffer;
pub(crate) mod socketdriver;
pub(crate) mod stm;

use std::rc::Rc;

use mlua::{Error, FromLuaMulti, IntoLuaMulti, LightUserData, Lua, MultiValue, Result, Table, Value};

use crate::host::Host;

/// Its address marks a result as the text of an error. Lua cannot obtain this address in another way.
static MARK: u8 = 0;

/// The wrapper that raises the errors of a module's functions.
const WRAPPER: &str = "
local mark, functions = ...
local error = error
local function pass(first, ...)
    if first == mark then
        error((...), 2)
    end
    return first, ...
end
for name, inner in pairs(functions) do
    functions[name] = function(...)
        return pass(inner(...))
    end
end
return functions";

/// A module under construction. Its functions do nothing while the interpreter is being closed: finalizers may still call
/// them, but mlua must not be called any more.
pub(crate) struct Module<'a> {
    lua: &'a Lua,
    host: Rc<Host>,
    functions: Table,
}

impl<'a> Module<'a> {
    pub(crate) fn new(lua: &'a Lua, host: &Rc<Host>) -> Result<Module<'a>> {
        let (host, functions) = (Rc::clone(host), lua.create_table()?);
        Ok(Module { lua, host, functions })
    }

    /// Adds a function.
    pub(crate) fn add<A, R>(
        &self,
        name: &str,
        function: impl Fn(&Lua, A) -> Result<R> + 'static,
    ) -> Result<()>
    where
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        self.add_with_host(name, move |lua, _, arguments| function(lua, arguments))
    }

    /// Adds a function that gets the host besides its arguments.
    pub(crate) fn add_with_host<A, R>(
        &self,
        name: &str,
        function: impl Fn(&Lua, &Host, A) -> Result<R> + 'static,
    ) -> Result<()>
    where
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        let host = Rc::clone(&self.host);
        self.add_raw(name, move |lua, arguments| {
            if host.is_closing.get() {
                return Ok(MultiValue::new());
            }
            let arguments = A::from_lua_multi(arguments, lua)?;
            function(lua, &host, arguments)?.into_lua_multi(lua)
        })
    }

    fn add_raw(
        &self,
        name: &str,
        function: impl Fn(&Lua, MultiValue) -> Result<MultiValue> + 'static,
    ) -> Result<()> {
        let inner =
            self.lua
                .create_function(move |lua, arguments: MultiValue| match function(lua, arguments) {
                    Ok(values) => Ok(values),
                    Err(error) => {
                        let mark = LightUserData((&raw const MARK).cast_mut().cast());
                        (mark, text_of(&error)).into_lua_multi(lua)
                    }
                })?;
        self.functions.set(name, inner)
    }

    /// Returns the table of the module.
    pub(crate) fn finish(self) -> Result<Table> {
        let mark = LightUserData((&raw const MARK).cast_mut().cast());
        let wrapper = self.lua.load(WRAPPER).set_name("=library");
        wrapper.call((mark, self.functions))
    }
}

/// The text of an error without the prefix that mlua adds.
fn text_of(error: &Error) -> String {
    match error {
        Error::RuntimeError(text) => text.clone(),
        Error::BadArgument { pos, cause, .. } => format!("bad argument #{pos}: {}", text_of(cause)),
        Error::CallbackError { cause, .. } => text_of(cause),
        other => other.to_string(),
    }
}

/// Returns a finished module as a Lua value.
pub(crate) fn finish_as_value(module: Module<'_>) -> Result<Value> {
    module.finish().map(Value::Table)
}
