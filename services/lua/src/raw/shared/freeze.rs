//! Makes a shared table of a table of Lua.

use std::ffi::c_int;

use mlua::ffi::*;

use super::super::{State, host, string};
use super::{proxy, raise_at_caller, space_and_name};
use crate::shared_table::{BuildError, Builder, Value};

/// `publish(space, name, table, must_be_new)`: sets the version of a name, and returns its number. Metatables are ignored.
pub(super) unsafe extern "C-unwind" fn publish(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        luaL_checktype(state, 3, LUA_TTABLE);
        let must_be_new = lua_toboolean(state, 4) != 0;
        let host = host(state);
        // Nothing in here raises: the functions that are used neither allocate nor call metamethods.
        let published = freeze(state)
            .map_err(|error| error.to_string())
            .and_then(|version| {
                let number = version.number();
                let set = host.node.shared.set(space, name, version, must_be_new);
                set.map(|()| number).map_err(str::to_owned)
            });
        match published {
            Ok(number) => {
                lua_pushinteger(state, number as lua_Integer);
                1
            }
            Err(text) => raise_at_caller(state, host, text),
        }
    }
}

/// # Safety
/// `state` runs `publish`.
unsafe fn freeze(state: State) -> Result<crate::shared_table::Tables, BuildError> {
    unsafe {
        let mut builder = Builder::new();
        let root = table(state, &mut builder, 3, 1)?;
        Ok(builder.finish(root))
    }
}

/// Adds the table at `index`, which counts from the bottom.
///
/// # Safety
/// As for [`freeze`].
unsafe fn table(state: State, builder: &mut Builder, index: c_int, depth: u32) -> Result<u32, BuildError> {
    unsafe {
        if lua_checkstack(state, 4) == 0 {
            return Err(BuildError::stack());
        }
        if proxy::is_proxy(state, index) {
            return Err(BuildError::shared());
        }
        let address = lua_topointer(state, index) as usize;
        if let Some(table) = builder.begin(address, depth)? {
            return Ok(table);
        }
        let mut items = Vec::new();
        let mut fields = Vec::new();
        let length = lua_rawlen(state, index) as lua_Integer;
        for number in 1..=length {
            if lua_rawgeti(state, index, number) == LUA_TNIL {
                lua_pop(state, 1);
                break;
            }
            let item = value(state, builder, depth).map_err(|error| error.below(number.to_string()))?;
            items.push(item);
            lua_pop(state, 1);
        }
        lua_pushnil(state);
        while lua_next(state, index) != 0 {
            if lua_isinteger(state, -2) != 0 {
                let number = lua_tointegerx(state, -2, std::ptr::null_mut());
                if number >= 1 && number <= items.len() as lua_Integer {
                    lua_pop(state, 1);
                    continue;
                }
            }
            let key = scalar(state, builder, -2).map_err(|error| match error {
                Unsupported::Type(name) => BuildError::key_type(name),
                Unsupported::Other(error) => error,
            })?;
            let value = value(state, builder, depth).map_err(|error| error.below(builder.key_text(key)))?;
            fields.push((key, value));
            lua_pop(state, 1);
        }
        builder.end(address, &items, &mut fields)
    }
}

/// Adds the value on top of the stack.
///
/// # Safety
/// As for [`freeze`].
unsafe fn value(state: State, builder: &mut Builder, depth: u32) -> Result<Value, BuildError> {
    unsafe {
        if lua_type(state, -1) == LUA_TTABLE {
            let index = lua_gettop(state);
            return table(state, builder, index, depth + 1).map(Value::Table);
        }
        scalar(state, builder, -1).map_err(|error| match error {
            Unsupported::Type(name) => BuildError::value_type(name),
            Unsupported::Other(error) => error,
        })
    }
}

enum Unsupported {
    Type(&'static str),
    Other(BuildError),
}

/// Adds the value at `index`, which is no table.
///
/// # Safety
/// As for [`freeze`].
unsafe fn scalar(state: State, builder: &mut Builder, index: c_int) -> Result<Value, Unsupported> {
    unsafe {
        Ok(match lua_type(state, index) {
            LUA_TBOOLEAN => Value::Boolean(lua_toboolean(state, index) != 0),
            LUA_TNUMBER if lua_isinteger(state, index) != 0 => {
                Value::Integer(lua_tointegerx(state, index, std::ptr::null_mut()))
            }
            LUA_TNUMBER => Value::Number(lua_tonumberx(state, index, std::ptr::null_mut())),
            LUA_TSTRING => {
                let text = string(state, index).unwrap_or_default();
                builder.text(text).map_err(Unsupported::Other)?
            }
            LUA_TTABLE => return Err(Unsupported::Type("table")),
            LUA_TFUNCTION => return Err(Unsupported::Type("function")),
            LUA_TTHREAD => return Err(Unsupported::Type("coroutine")),
            LUA_TLIGHTUSERDATA => return Err(Unsupported::Type("light userdata")),
            _ => return Err(Unsupported::Type("userdata")),
        })
    }
}
