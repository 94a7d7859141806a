//! Copies of shared tables that are plain tables.

use std::ffi::c_int;

use mlua::ffi::*;

use super::super::{State, string};
use super::proxy;
use super::space_and_name;
use crate::shared_table::{Key, Tables, Value};

/// `copy(space, name, ...)`: a deep copy of the newest version, or of the value at these keys in it; nil if there is no such
/// value, and nothing if there is no such version.
pub(super) unsafe extern "C-unwind" fn copy(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        let keys = lua_gettop(state);
        if !proxy::push_newest(state, space, name) {
            return 0;
        }
        // The version stays on the stack, and so alive.
        let held = proxy::push_upvalues(state, -1);
        let Some(tables) = proxy::of_userdata(held.cast()) else {
            return luaL_error(state, c"the service ends".as_ptr());
        };
        let mut value = Value::Table(tables.root());
        for index in 3..=keys {
            let key = match lua_type(state, index) {
                LUA_TSTRING => Key::Text(string(state, index).unwrap_or_default()),
                LUA_TBOOLEAN => Key::Boolean(lua_toboolean(state, index) != 0),
                _ => {
                    let mut is_integer = 0;
                    let number = lua_tointegerx(state, index, &mut is_integer);
                    match is_integer {
                        0 => Key::Number(lua_tonumberx(state, index, std::ptr::null_mut())),
                        _ => Key::Integer(number),
                    }
                }
            };
            let found = match value {
                Value::Table(table) => tables.find(table, key).and_then(|slot| tables.value(table, slot)),
                _ => None,
            };
            match found {
                Some(found) => value = found,
                None => {
                    lua_pushnil(state);
                    return 1;
                }
            }
        }
        // By index: the copies. A table that occurs twice is copied once.
        lua_createtable(state, 0, 0);
        push(state, tables, value, lua_gettop(state));
        1
    }
}

/// Pushes a copy of a value; `copies` is where the table of copies is.
///
/// # Safety
/// `state` runs in protected mode, and the caller has nothing to drop.
unsafe fn push(state: State, tables: &Tables, value: Value, copies: c_int) {
    unsafe {
        luaL_checkstack(state, 6, std::ptr::null());
        let Value::Table(table) = value else {
            // Scalars need neither proxies nor a metatable.
            return proxy::push_value(state, value, tables, copies, copies);
        };
        if lua_rawgeti(state, copies, lua_Integer::from(table)) != LUA_TNIL {
            return;
        }
        lua_pop(state, 1);
        let (items, slots) = (tables.items(table), tables.slots(table));
        lua_createtable(state, items as c_int, (slots - items) as c_int);
        let copy = lua_gettop(state);
        lua_pushvalue(state, copy);
        lua_rawseti(state, copies, lua_Integer::from(table));
        for slot in 0..slots {
            let (Some(key), Some(value)) = (tables.key_at(table, slot), tables.value(table, slot)) else {
                break;
            };
            proxy::push_value(state, key, tables, copies, copies);
            push(state, tables, value, copies);
            lua_rawset(state, copy);
        }
    }
}
