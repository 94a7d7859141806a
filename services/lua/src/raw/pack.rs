//! Packs Lua values from the stack.
//!
//! Values are packed into the host's scratch buffer, after the bytes that are already there, because a `__pairs` method
//! may pack values while a table is being packed. Each packing removes its bytes from the end again. If a Lua error ends
//! it, its bytes stay until the next message clears the buffer.

use std::ffi::c_int;

use bytes::Bytes;
use mlua::ffi::*;

use super::{State, string};
use crate::host::Host;

/// Most levels of nested tables, as in Skynet.
pub const NESTING_MAX: u32 = 32;

/// Most bytes of one packed message.
pub const PACKED_BYTES_MAX: usize = 256 << 20;

const BOOLEAN: u8 = 1;
const NUMBER: u8 = 2;
const POINTER: u8 = 3;
const STRING_SHORT: u8 = 4;
const STRING_LONG: u8 = 5;
const TABLE: u8 = 6;
/// The largest value of the five bits beside a type.
const COOKIE_FULL: usize = 31;

/// The reason why values cannot be packed. Lua gets the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackError {
    Nested,
    Large,
    Stack,
    Pointer,
    Type(&'static str),
    /// A `__pairs` method raised an error, which is on top of the stack.
    Raised,
}

impl PackError {
    fn text(self) -> String {
        match self {
            PackError::Nested => format!("cannot pack a table nested deeper than {NESTING_MAX}"),
            PackError::Large => format!("cannot pack more than {PACKED_BYTES_MAX} bytes"),
            PackError::Stack => "cannot pack: the stack is full".to_owned(),
            PackError::Pointer => "cannot pack a light userdata for another node".to_owned(),
            PackError::Type(name) => format!("cannot pack a {name}"),
            PackError::Raised => "cannot pack: __pairs raised an error".to_owned(),
        }
    }
}

/// Packs the values above `below`. `local`: the receiver is on this node, where light userdata is valid.
///
/// # Safety
/// `state` runs in protected mode, and the caller has nothing to drop.
#[inline]
pub(super) unsafe fn pack(state: State, host: &Host, below: c_int, local: bool) -> Result<Bytes, String> {
    unsafe {
        let top = lua_gettop(state);
        let scratch = host.scratch.get();
        let start = (*scratch).len();
        for index in below + 1..=top {
            if let Err(error) = value(state, scratch, index, 0, local) {
                (*scratch).truncate(start);
                if error == PackError::Raised
                    && let Some(text) = string(state, -1)
                {
                    return Err(String::from_utf8_lossy(text).into_owned());
                }
                return Err(error.text());
            }
        }
        let bytes = Bytes::copy_from_slice(&(&(*scratch))[start..]);
        (*scratch).truncate(start);
        Ok(bytes)
    }
}

/// # Safety
/// As for [`pack`]; `out` is the host's scratch buffer, to which no reference is held.
unsafe fn value(
    state: State,
    out: *mut Vec<u8>,
    index: c_int,
    depth: u32,
    local: bool,
) -> Result<(), PackError> {
    unsafe {
        match lua_type(state, index) {
            LUA_TNIL => put(out, 0),
            LUA_TBOOLEAN => put(out, BOOLEAN | u8::from(lua_toboolean(state, index) != 0) << 3),
            LUA_TNUMBER => {
                if lua_isinteger(state, index) != 0 {
                    integer(out, lua_tointegerx(state, index, std::ptr::null_mut()));
                } else {
                    let number = lua_tonumberx(state, index, std::ptr::null_mut());
                    put_with(out, NUMBER | 8 << 3, &number.to_le_bytes());
                }
            }
            LUA_TSTRING => {
                let mut length = 0;
                let bytes = lua_tolstring(state, index, &mut length);
                return text(out, std::slice::from_raw_parts(bytes.cast(), length));
            }
            LUA_TLIGHTUSERDATA if local => {
                let address = lua_touserdata(state, index) as u64;
                put_with(out, POINTER, &address.to_le_bytes());
            }
            LUA_TLIGHTUSERDATA => return Err(PackError::Pointer),
            LUA_TTABLE => return table(state, out, lua_absindex(state, index), depth + 1, local),
            LUA_TFUNCTION => return Err(PackError::Type("function")),
            LUA_TUSERDATA => return Err(PackError::Type("userdata")),
            LUA_TTHREAD => return Err(PackError::Type("thread")),
            _ => return Err(PackError::Type("value of no type")),
        }
        Ok(())
    }
}

/// # Safety
/// As for [`value`], with a table at `index`, which counts from the bottom.
unsafe fn table(
    state: State,
    out: *mut Vec<u8>,
    index: c_int,
    depth: u32,
    local: bool,
) -> Result<(), PackError> {
    unsafe {
        if depth > NESTING_MAX {
            return Err(PackError::Nested);
        }
        if lua_checkstack(state, LUA_MINSTACK) == 0 {
            return Err(PackError::Stack);
        }
        if lua_getmetatable(state, index) != 0 {
            lua_pop(state, 1);
            if luaL_getmetafield(state, index, c"__pairs".as_ptr()) != LUA_TNIL {
                return pairs(state, out, index, depth, local);
            }
        }
        let items = lua_rawlen(state, index);
        if items >= COOKIE_FULL {
            put(out, TABLE | (COOKIE_FULL as u8) << 3);
            integer(out, items as i64);
        } else {
            put(out, TABLE | (items as u8) << 3);
        }
        for item in 1..=items {
            lua_rawgeti(state, index, item as lua_Integer);
            value(state, out, -1, depth, local)?;
            lua_pop(state, 1);
        }
        lua_pushnil(state);
        while lua_next(state, index) != 0 {
            if items > 0 && lua_isinteger(state, -2) != 0 {
                let key = lua_tointegerx(state, -2, std::ptr::null_mut());
                if key > 0 && key as u64 <= items as u64 {
                    lua_pop(state, 1);
                    continue;
                }
            }
            value(state, out, -2, depth, local)?;
            value(state, out, -1, depth, local)?;
            lua_pop(state, 1);
        }
        put(out, 0);
        Ok(())
    }
}

/// Packs a table whose metatable has `__pairs`, which is on top of the stack.
///
/// # Safety
/// As for [`table`].
unsafe fn pairs(
    state: State,
    out: *mut Vec<u8>,
    index: c_int,
    depth: u32,
    local: bool,
) -> Result<(), PackError> {
    unsafe {
        put(out, TABLE);
        lua_pushvalue(state, index);
        if lua_pcall(state, 1, 3, 0) != LUA_OK {
            return Err(PackError::Raised);
        }
        // On the stack: the iterator function, its state, the key.
        loop {
            lua_pushvalue(state, -3);
            lua_pushvalue(state, -3);
            lua_pushvalue(state, -3);
            if lua_pcall(state, 2, 2, 0) != LUA_OK {
                return Err(PackError::Raised);
            }
            if lua_type(state, -2) == LUA_TNIL {
                lua_pop(state, 5);
                put(out, 0);
                return Ok(());
            }
            value(state, out, -2, depth, local)?;
            value(state, out, -1, depth, local)?;
            lua_pop(state, 1);
            // The new key replaces the old one.
            lua_replace(state, -2);
        }
    }
}

/// # Safety
/// `out` is the host's scratch buffer, to which no reference is held.
#[inline]
unsafe fn put(out: *mut Vec<u8>, byte: u8) {
    unsafe { (*out).push(byte) }
}

/// # Safety
/// As for [`put`].
#[inline]
unsafe fn put_with<const N: usize>(out: *mut Vec<u8>, head: u8, rest: &[u8; N]) {
    unsafe {
        (*out).reserve(N + 1);
        (*out).push(head);
        (*out).extend_from_slice(rest);
    }
}

/// # Safety
/// As for [`put`].
#[inline]
unsafe fn integer(out: *mut Vec<u8>, number: i64) {
    unsafe {
        if number == 0 {
            put(out, NUMBER);
        } else if let Ok(byte) = u8::try_from(number) {
            put_with(out, NUMBER | 1 << 3, &[byte]);
        } else if let Ok(word) = u16::try_from(number) {
            put_with(out, NUMBER | 2 << 3, &word.to_le_bytes());
        } else if let Ok(double) = i32::try_from(number) {
            put_with(out, NUMBER | 4 << 3, &double.to_le_bytes());
        } else {
            put_with(out, NUMBER | 6 << 3, &number.to_le_bytes());
        }
    }
}

/// # Safety
/// As for [`put`]; `bytes` lies outside the buffer.
#[inline]
unsafe fn text(out: *mut Vec<u8>, bytes: &[u8]) -> Result<(), PackError> {
    unsafe {
        let length = bytes.len();
        if (*out).len() + length > PACKED_BYTES_MAX {
            return Err(PackError::Large);
        }
        (*out).reserve(length + 5);
        if length <= COOKIE_FULL {
            put(out, STRING_SHORT | (length as u8) << 3);
        } else if let Ok(short) = u16::try_from(length) {
            put_with(out, STRING_LONG | 2 << 3, &short.to_le_bytes());
        } else {
            put_with(out, STRING_LONG | 4 << 3, &(length as u32).to_le_bytes());
        }
        (*out).extend_from_slice(bytes);
        Ok(())
    }
}
