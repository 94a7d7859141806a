//! Unpacks bytes to Lua values on the stack.
//!
//! The bytes may come from another node, so they are not trusted: lengths are checked against the remaining bytes, a
//! table's declared size may not exceed them, and nesting is bounded.

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi::*;

use super::State;
use super::pack::NESTING_MAX;

/// Most items of a table for which space is reserved at once.
pub const ITEMS_AT_ONCE_MAX: i64 = 65_536;

/// The bytes that are not read yet. It has no destructor, because a Lua error may skip it.
struct Cursor {
    next: *const u8,
    end: *const u8,
}

impl Cursor {
    #[inline]
    fn remaining(&self) -> usize {
        self.end as usize - self.next as usize
    }

    /// The next `count` bytes.
    #[inline]
    fn take(&mut self, count: usize) -> Option<*const u8> {
        if self.remaining() < count {
            return None;
        }
        let at = self.next;
        // Within the bytes, as just checked.
        self.next = at.wrapping_add(count);
        Some(at)
    }

    /// # Safety
    /// The bytes of the cursor are alive.
    #[inline]
    unsafe fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)
            .map(|at| unsafe { at.cast::<[u8; N]>().read_unaligned() })
    }
}

/// The error for malformed bytes.
const MALFORMED: &CStr = c"malformed message: %d bytes cannot be read as values";

/// Pushes all values in `bytes` and returns their number. Raises a Lua error when the bytes are malformed.
///
/// # Safety
/// `state` runs in protected mode, the caller has nothing to drop, and `bytes` stay alive meanwhile.
#[inline]
pub(super) unsafe fn unpack(state: State, bytes: *const [u8]) -> c_int {
    unsafe {
        let start: *const u8 = bytes.cast();
        let mut cursor = Cursor {
            next: start,
            end: start.wrapping_add(bytes.len()),
        };
        let mut count = 0;
        while let Some([head]) = cursor.array() {
            if count % 8 == 7 {
                luaL_checkstack(state, LUA_MINSTACK, c"too many values".as_ptr());
            }
            if push(state, &mut cursor, head, 0).is_none() {
                return luaL_error(state, MALFORMED.as_ptr(), bytes.len() as c_int);
            }
            count += 1;
        }
        count
    }
}

/// # Safety
/// As for [`unpack`].
unsafe fn push(state: State, cursor: &mut Cursor, head: u8, depth: u32) -> Option<()> {
    unsafe {
        let cookie = head >> 3;
        match head & 7 {
            0 => lua_pushnil(state),
            1 => lua_pushboolean(state, c_int::from(cookie)),
            2 if cookie == 8 => lua_pushnumber(state, f64::from_le_bytes(cursor.array()?)),
            2 => lua_pushinteger(state, integer(cursor, cookie)?),
            3 => {
                let address = u64::from_le_bytes(cursor.array()?);
                lua_pushlightuserdata(state, address as *mut c_void);
            }
            4 => string(state, cursor, usize::from(cookie))?,
            5 => {
                let length = match cookie {
                    2 => usize::from(u16::from_le_bytes(cursor.array()?)),
                    4 => u32::from_le_bytes(cursor.array()?) as usize,
                    _ => return None,
                };
                string(state, cursor, length)?;
            }
            6 => table(state, cursor, cookie, depth + 1)?,
            _ => return None,
        }
        Some(())
    }
}

/// # Safety
/// As for [`unpack`].
#[inline]
unsafe fn integer(cursor: &mut Cursor, cookie: u8) -> Option<i64> {
    unsafe {
        Some(match cookie {
            0 => 0,
            1 => i64::from(cursor.array::<1>()?[0]),
            2 => i64::from(u16::from_le_bytes(cursor.array()?)),
            4 => i64::from(i32::from_le_bytes(cursor.array()?)),
            6 => i64::from_le_bytes(cursor.array()?),
            _ => return None,
        })
    }
}

/// # Safety
/// As for [`unpack`].
#[inline]
unsafe fn string(state: State, cursor: &mut Cursor, length: usize) -> Option<()> {
    unsafe {
        let at = cursor.take(length)?;
        lua_pushlstring(state, at.cast(), length);
        Some(())
    }
}

/// # Safety
/// As for [`unpack`].
unsafe fn table(state: State, cursor: &mut Cursor, cookie: u8, depth: u32) -> Option<()> {
    unsafe {
        if depth > NESTING_MAX {
            return None;
        }
        let mut items = i64::from(cookie);
        if items == 31 {
            let [head] = cursor.array()?;
            if head & 7 != 2 {
                return None;
            }
            items = integer(cursor, head >> 3)?;
        }
        // Each item takes at least one byte.
        if items < 0 || items as usize > cursor.remaining() {
            return None;
        }
        luaL_checkstack(state, LUA_MINSTACK, c"too many values".as_ptr());
        lua_createtable(state, items.min(ITEMS_AT_ONCE_MAX) as c_int, 0);
        for item in 1..=items {
            let [head] = cursor.array()?;
            push(state, cursor, head, depth)?;
            lua_rawseti(state, -2, item);
        }
        loop {
            let [head] = cursor.array()?;
            if head & 7 == 0 {
                return Some(());
            }
            push(state, cursor, head, depth)?;
            let [head] = cursor.array()?;
            push(state, cursor, head, depth)?;
            lua_rawset(state, -3);
        }
    }
}
