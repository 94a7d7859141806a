//! The proxies of shared tables, and their metatables.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use mlua::ffi::*;

use super::super::{State, host};
use super::{access, space_and_name};
use crate::shared_table::{Space, Tables, Value};

/// Its address is the key of the index in a proxy.
static NODE: u8 = 0;
/// Its address is the key of the service's metatables in the registry: by number of the version, with weak values. This
/// table is also the metatable of the userdata of versions.
static METATABLES: u8 = 1;

/// The fields of a metatable that have numbers.
/// Its function `__index`, which has the version and the proxies as upvalues.
pub(super) const INDEX: lua_Integer = 1;
/// As keys, weak: further proxies of tables that have one among the proxies. It is there only after an update.
pub(super) const OTHERS: lua_Integer = 2;

/// The upvalues of `__index`; `__len` has the first one. The proxies are in a table by index, with weak values.
pub(super) const UPVALUE_VERSION: c_int = 1;
pub(super) const UPVALUE_PROXIES: c_int = 2;
pub(super) const UPVALUE_METATABLE: c_int = 3;

/// A version as a userdata: empty once it was dropped.
pub(super) struct Held {
    pub(super) tables: Option<Arc<Tables>>,
    /// Whether an update has moved the proxies of this version to a newer one.
    pub(super) is_superseded: bool,
    pub(super) space: Space,
    pub(super) name: Box<[u8]>,
}

/// `query(space, name)`: the root of the newest version, and its number; nothing if there is none.
pub(super) unsafe extern "C-unwind" fn query(state: State) -> c_int {
    unsafe {
        let (space, name) = space_and_name(state);
        lua_settop(state, 2);
        if !push_newest(state, space, name) {
            return 0;
        }
        let version = lua_gettop(state);
        let held = push_upvalues(state, version);
        // The proxies are above the metatable.
        let Some(tables) = of_userdata(held.cast()) else {
            return 0;
        };
        push_value(state, Value::Table(tables.root()), tables, version + 1, version);
        lua_pushinteger(state, tables.number() as lua_Integer);
        2
    }
}

/// Whether the table at `index` is a proxy. It does not raise.
///
/// # Safety
/// A table is at `index`, and the stack has space for one value.
pub(super) unsafe fn is_proxy(state: State, index: c_int) -> bool {
    unsafe {
        let kind = lua_rawgetp(state, index, (&raw const NODE).cast());
        lua_pop(state, 1);
        kind != LUA_TNIL
    }
}

/// The index that a proxy has.
///
/// # Safety
/// `index` is valid or beyond the top, and the stack has space for one value.
#[inline]
pub(super) unsafe fn node(state: State, index: c_int) -> Option<u32> {
    unsafe {
        if lua_type(state, index) != LUA_TTABLE {
            return None;
        }
        // The keys of an ended one are a text, which would be converted.
        let is_number = lua_rawgetp(state, index, (&raw const NODE).cast()) == LUA_TNUMBER;
        let node = lua_tointegerx(state, -1, std::ptr::null_mut());
        lua_pop(state, 1);
        u32::try_from(node).ok().filter(|_| is_number)
    }
}

/// Sets the text on top of the stack, the keys of a table that is not there any more, in place of its index, and pops it.
///
/// # Safety
/// As for [`set_node`].
pub(super) unsafe fn set_ended(state: State, index: c_int) {
    unsafe { lua_rawsetp(state, index, (&raw const NODE).cast()) }
}

/// Pushes that text.
///
/// # Safety
/// A table is at `index`, and the stack has space for one value.
pub(super) unsafe fn push_ended(state: State, index: c_int) {
    unsafe {
        lua_rawgetp(state, index, (&raw const NODE).cast());
    }
}

/// Sets the index of a proxy.
///
/// # Safety
/// `state` runs in protected mode, a table is at `index`, which counts from the bottom.
pub(super) unsafe fn set_node(state: State, index: c_int, node: u32) {
    unsafe {
        lua_pushinteger(state, lua_Integer::from(node));
        lua_rawsetp(state, index, (&raw const NODE).cast());
    }
}

/// Pushes a value. `proxies` and `metatable` are where those of its version are.
///
/// # Safety
/// `state` runs in protected mode with space for four values, and the caller has nothing to drop.
#[inline]
pub(super) unsafe fn push_value(
    state: State,
    value: Value,
    tables: &Tables,
    proxies: c_int,
    metatable: c_int,
) {
    unsafe {
        match value {
            Value::Boolean(value) => lua_pushboolean(state, c_int::from(value)),
            Value::Integer(value) => lua_pushinteger(state, value),
            Value::Number(value) => lua_pushnumber(state, value),
            Value::Text { start, length } => {
                let text = tables.text(start, length);
                lua_pushlstring(state, text.as_ptr().cast(), text.len());
            }
            Value::Table(index) => {
                if lua_rawgeti(state, proxies, lua_Integer::from(index)) != LUA_TNIL {
                    return;
                }
                lua_pop(state, 1);
                lua_createtable(state, 0, 1);
                let proxy = lua_gettop(state);
                set_node(state, proxy, index);
                lua_pushvalue(state, metatable);
                lua_setmetatable(state, proxy);
                lua_pushvalue(state, proxy);
                lua_rawseti(state, proxies, lua_Integer::from(index));
            }
        }
    }
}

/// Pushes the service's metatables, by number of their version.
///
/// # Safety
/// As for [`push_value`].
pub(super) unsafe fn push_metatables(state: State) {
    unsafe {
        if lua_rawgetp(state, LUA_REGISTRYINDEX, (&raw const METATABLES).cast()) != LUA_TNIL {
            return;
        }
        lua_pop(state, 1);
        lua_createtable(state, 0, 2);
        // Without `__gc` in it: tables have no finalizer.
        push_mode(state, c"v".as_ptr());
        lua_setmetatable(state, -2);
        lua_pushcfunction(state, drop_version);
        lua_setfield(state, -2, c"__gc".as_ptr());
        lua_pushvalue(state, -1);
        lua_rawsetp(state, LUA_REGISTRYINDEX, (&raw const METATABLES).cast());
    }
}

/// Pushes the metatable of a table with weak keys or values.
///
/// # Safety
/// As for [`push_value`].
unsafe fn push_mode(state: State, mode: *const std::ffi::c_char) {
    unsafe {
        lua_createtable(state, 0, 1);
        lua_pushstring(state, mode);
        lua_setfield(state, -2, c"__mode".as_ptr());
    }
}

/// Pushes the further proxies of the version with the metatable at `metatable`, which counts from the bottom.
///
/// # Safety
/// As for [`push_value`].
pub(super) unsafe fn push_others(state: State, metatable: c_int) {
    unsafe {
        if lua_rawgeti(state, metatable, OTHERS) != LUA_TNIL {
            return;
        }
        lua_pop(state, 1);
        lua_createtable(state, 0, 1);
        push_mode(state, c"k".as_ptr());
        lua_setmetatable(state, -2);
        lua_pushvalue(state, -1);
        lua_rawseti(state, metatable, OTHERS);
    }
}

/// Returns the version of the metatable at `metatable`, and pushes its proxies. Null: it is the metatable of no version, and
/// nil is pushed.
///
/// # Safety
/// A table is at `metatable`, and the stack has space for four values.
#[inline]
pub(super) unsafe fn push_upvalues(state: State, metatable: c_int) -> *mut Held {
    unsafe {
        lua_rawgeti(state, metatable, INDEX);
        if !lua_getupvalue(state, -1, UPVALUE_VERSION).is_null() {
            let held = lua_touserdata(state, -1).cast::<Held>();
            if is_version(state) {
                lua_pop(state, 1);
                lua_getupvalue(state, -1, UPVALUE_PROXIES);
                lua_remove(state, -2);
                return held;
            }
            lua_pop(state, 1);
        }
        lua_pop(state, 1);
        lua_pushnil(state);
        ptr::null_mut()
    }
}

/// Whether the value on top of the stack is the userdata of a version. Lua code could have changed a metatable.
///
/// # Safety
/// The stack has space for two values.
#[inline]
unsafe fn is_version(state: State) -> bool {
    unsafe {
        if lua_type(state, -1) != LUA_TUSERDATA || lua_getmetatable(state, -1) == 0 {
            return false;
        }
        lua_rawgetp(state, LUA_REGISTRYINDEX, (&raw const METATABLES).cast());
        let is_version = lua_rawequal(state, -1, -2) != 0;
        lua_pop(state, 2);
        is_version
    }
}

/// Pushes the metatable for the newest version of a name. `false`: there is none, and nothing is pushed.
///
/// # Safety
/// As for [`push_value`]; the name stays on the stack.
pub(super) unsafe fn push_newest(state: State, space: Space, name: &[u8]) -> bool {
    unsafe {
        luaL_checkstack(state, 12, std::ptr::null());
        let registry = &host(state).node.shared;
        let Some(number) = registry.get(space, name).map(|version| version.number()) else {
            return false;
        };
        push_metatables(state);
        if lua_rawgeti(state, -1, number as lua_Integer) != LUA_TNIL {
            lua_remove(state, -2);
            return true;
        }
        lua_pop(state, 1);
        // The userdata owns the version from the start, so that an error drops it.
        let held = lua_newuserdatauv(state, size_of::<Held>(), 0).cast::<Held>();
        held.write(Held {
            tables: None,
            is_superseded: false,
            space,
            name: Box::default(),
        });
        lua_pushvalue(state, -2);
        lua_setmetatable(state, -2);
        (*held).name = name.into();
        // The newest version may be a newer one now.
        (*held).tables = registry.get(space, name);
        let Some(number) = (*held).tables.as_ref().map(|tables| tables.number()) else {
            lua_pop(state, 2);
            return false;
        };
        push_metatable(state, lua_gettop(state) - 1);
        // On the stack: the metatables, the userdata, the metatable.
        lua_pushvalue(state, -1);
        lua_rawseti(state, -4, number as lua_Integer);
        lua_replace(state, -3);
        lua_pop(state, 1);
        true
    }
}

/// Pushes a new metatable for the version in the userdata at `metatables + 1`, above all metatables.
///
/// # Safety
/// As for [`push_value`].
unsafe fn push_metatable(state: State, metatables: c_int) {
    unsafe {
        let version = metatables + 1;
        lua_createtable(state, 1, 7);
        let metatable = lua_gettop(state);
        lua_createtable(state, 0, 0);
        let proxies = lua_gettop(state);
        lua_getmetatable(state, metatables);
        lua_setmetatable(state, proxies);
        for upvalue in [version, proxies, metatable] {
            lua_pushvalue(state, upvalue);
        }
        lua_pushcclosure(state, access::index, 3);
        lua_pushvalue(state, -1);
        lua_rawseti(state, metatable, INDEX);
        lua_setfield(state, metatable, c"__index".as_ptr());
        lua_pushvalue(state, version);
        lua_pushcclosure(state, access::len, 1);
        lua_setfield(state, metatable, c"__len".as_ptr());
        for (name, function) in access::METAMETHODS {
            lua_pushcfunction(state, function);
            lua_setfield(state, metatable, name.as_ptr());
        }
        lua_pushstring(state, c"shared table".as_ptr());
        lua_pushvalue(state, -1);
        lua_setfield(state, metatable, c"__name".as_ptr());
        lua_setfield(state, metatable, c"__metatable".as_ptr());
        lua_settop(state, metatable);
    }
}

unsafe extern "C-unwind" fn drop_version(state: State) -> c_int {
    unsafe {
        let held = lua_touserdata(state, 1).cast::<Held>();
        if !held.is_null() {
            let tables = (*held).tables.take();
            (*held).name = Box::default();
            let is_last = tables
                .as_ref()
                .is_some_and(|tables| Arc::strong_count(tables) == 1 && tables.bytes() >= RELEASED_BYTES);
            drop(tables);
            if is_last {
                crate::memory::release();
            }
        }
        0
    }
}

/// The size of a version after whose end memory is given back to the system.
const RELEASED_BYTES: usize = 4 << 20;

/// The version of the running function of a metatable.
///
/// # Safety
/// `state` runs such a function.
#[inline]
pub(super) unsafe fn version<'a>(state: State) -> Option<&'a Tables> {
    unsafe { of_userdata(lua_touserdata(state, lua_upvalueindex(UPVALUE_VERSION))) }
}

/// The version in a userdata. It lives while the userdata does.
///
/// # Safety
/// The userdata is one of this module.
#[inline]
pub(super) unsafe fn of_userdata<'a>(userdata: *mut c_void) -> Option<&'a Tables> {
    unsafe {
        let held = userdata.cast::<Held>();
        if held.is_null() {
            return None;
        }
        (*held).tables.as_deref()
    }
}

/// Pushes the metatable of a proxy at `index`, its proxies, and returns its version. `None`: it is no proxy, or not any
/// more, and nothing is pushed.
///
/// # Safety
/// As for [`push_value`], with `index` counting from the bottom.
pub(super) unsafe fn push_parts<'a>(state: State, index: c_int) -> Option<&'a Tables> {
    unsafe {
        if lua_type(state, index) != LUA_TTABLE || lua_getmetatable(state, index) == 0 {
            return None;
        }
        if !is_proxy(state, index) {
            lua_pop(state, 1);
            return None;
        }
        let held = push_upvalues(state, -1);
        let tables = of_userdata(held.cast());
        if tables.is_none() {
            lua_pop(state, 2);
        }
        tables
    }
}
