//! The module `skynet.core`: Skynet's C interface to the engine, for Skynet's own library and for services that use it
//! directly.

use std::ffi::{CStr, c_int, c_void};

use bytes::Bytes;
use mlua::ffi::*;
use skyring::{Error, Kind, Payload};

use super::unpack::unpack;
use super::{State, add_functions, address, finish, host, pack, push_bytes, string, type_name};
use crate::buffer;
use crate::host::{Host, Mode};
use crate::kind::{ERROR, RESPONSE};

/// The functions of the module.
const FUNCTIONS: [(&CStr, lua_CFunction); 17] = [
    (c"send", send),
    (c"redirect", redirect),
    (c"genid", genid),
    (c"callback", callback),
    (c"command", super::command::command),
    (c"intcommand", super::command::int_command),
    (c"addresscommand", super::command::address_command),
    (c"error", error),
    (c"trace", trace),
    (c"harbor", harbor),
    (c"tostring", to_string),
    (c"pack", pack_message),
    (c"packstring", pack_string),
    (c"unpack", unpack_message),
    (c"trash", trash),
    (c"now", now),
    (c"hpc", hpc),
];

/// Pushes the module.
///
/// # Safety
/// As for [`add_functions`].
pub(super) unsafe fn push_module(state: State, host: *const Host) {
    unsafe {
        lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        add_functions(state, host, &FUNCTIONS);
    }
}

/// The first `size` bytes of the message at an address, which is not released.
pub(super) fn peek(host: &Host, address: usize, size: lua_Integer) -> Option<Bytes> {
    if address == 0 || size == 0 {
        return Some(Bytes::new());
    }
    let bytes = host.message_at(address).or_else(|| buffer::peek(address))?;
    cut(bytes, size)
}

/// The first `size` bytes of the message at an address. This releases a packed message.
pub(crate) fn take(host: &Host, address: usize, size: lua_Integer) -> Option<Bytes> {
    if address == 0 || size == 0 {
        return Some(Bytes::new());
    }
    let bytes = buffer::take(address).or_else(|| host.message_at(address))?;
    cut(bytes, size)
}

fn cut(mut bytes: Bytes, size: lua_Integer) -> Option<Bytes> {
    let size = usize::try_from(size).ok().filter(|&size| size <= bytes.len())?;
    bytes.truncate(size);
    Some(bytes)
}

const NO_MESSAGE: &str =
    "there is no message at this address: it was sent or trashed, or its handler has waited or returned";

/// The message at `index` of the stack: a string, or an address followed by its size, which is released.
///
/// # Safety
/// `index` is valid or beyond the top.
pub(super) unsafe fn message(state: State, host: &Host, index: c_int) -> Result<Bytes, String> {
    unsafe {
        match lua_type(state, index) {
            LUA_TSTRING => Ok(string(state, index)
                .map(Bytes::copy_from_slice)
                .unwrap_or_default()),
            LUA_TLIGHTUSERDATA => {
                let size = lua_tointegerx(state, index + 1, std::ptr::null_mut());
                let address = lua_touserdata(state, index) as usize;
                take(host, address, size).ok_or_else(|| NO_MESSAGE.to_owned())
            }
            _ => Err(format!(
                "a message is a string or an address with a size, not a {}",
                type_name(state, index)
            )),
        }
    }
}

/// `send(address, kind, session or nil, message [, size])`: the session; no value if the service does not exist.
unsafe extern "C-unwind" fn send(state: State) -> c_int {
    unsafe {
        let host = host(state);
        finish(state, host, send_from(state, host, host.caller.handle().0, 2))
    }
}

/// `redirect(address, source, kind, session, message [, size])`
unsafe extern "C-unwind" fn redirect(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let source = match address(state, host, 2) {
            Ok(Some(source)) => source.0,
            // As in Skynet, 0 is the service itself.
            _ => host.caller.handle().0,
        };
        finish(state, host, send_from(state, host, source, 3))
    }
}

/// # Safety
/// `state` runs a function of this module; the kind is at `index`.
unsafe fn send_from(state: State, host: &Host, source: u32, index: c_int) -> Result<c_int, String> {
    unsafe {
        let target = address(state, host, 1)?;
        let mut is_kind = 0;
        let kind = lua_tointegerx(state, index, &mut is_kind);
        let kind = u8::try_from(kind).ok().filter(|_| is_kind != 0);
        let kind = kind.ok_or_else(|| "a kind of message is a number from 0 to 255".to_owned())?;
        let message = message(state, host, index + 2)?;
        let new_session = lua_type(state, index + 1) <= LUA_TNIL;
        let given = lua_tointegerx(state, index + 1, std::ptr::null_mut()) as u32;
        let Some(target) = target else {
            return Ok(0);
        };
        if !new_session && given != 0 && (kind == RESPONSE || kind == ERROR) {
            let result = match kind {
                RESPONSE => Ok(Payload(message)),
                _ if message.is_empty() => Err(Error::remote("the service answered with an error")),
                _ => Err(Error::remote(String::from_utf8_lossy(&message).as_ref())),
            };
            host.answer(target.0, given, result);
            lua_pushinteger(state, lua_Integer::from(given));
            return Ok(1);
        }
        if !host.caller.may_exist(target) {
            return Ok(0);
        }
        let session = if new_session { host.next_session() } else { given };
        host.send_as(source, target, Kind(kind), session, Payload(message));
        lua_pushinteger(state, lua_Integer::from(session));
        Ok(1)
    }
}

unsafe extern "C-unwind" fn genid(state: State) -> c_int {
    unsafe {
        let session = host(state).next_session();
        lua_pushinteger(state, lua_Integer::from(session));
        1
    }
}

/// `callback(function [, forward])`: the function handles all messages from now on.
unsafe extern "C-unwind" fn callback(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let forward = lua_toboolean(state, 2) != 0;
        lua_settop(state, 1);
        let function = luaL_ref(state, LUA_REGISTRYINDEX);
        // An earlier function stays in the registry, because it may be running now.
        host(state).mode.set(Mode::Callback { function, forward });
        0
    }
}

/// `error(...)`: a line in the log.
unsafe extern "C-unwind" fn error(state: State) -> c_int {
    unsafe {
        let count = lua_gettop(state);
        luaL_checkstack(state, 2, std::ptr::null());
        if count == 0 {
            lua_pushnil(state);
        }
        for index in 1..=count.max(1) {
            luaL_tolstring(state, index, std::ptr::null_mut());
            lua_replace(state, index);
        }
        for index in (2..=count).rev() {
            lua_pushstring(state, c" ".as_ptr());
            lua_insert(state, index);
        }
        let pieces = lua_gettop(state);
        luaL_checkstack(state, 1, std::ptr::null());
        lua_concat(state, pieces);
        let host = host(state);
        if let Some(text) = string(state, -1) {
            host.caller.log_bytes(text);
        }
        0
    }
}

/// `trace(tag, text [, thread] [, level])`: a line of a trace in the log.
unsafe extern "C-unwind" fn trace(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        luaL_checktype(state, 2, LUA_TSTRING);
        let mut thread = state;
        let mut level = None;
        if lua_type(state, 3) == LUA_TTHREAD {
            thread = lua_tothread(state, 3);
            level = Some(luaL_optinteger(state, 4, 1) as c_int);
        } else if lua_type(state, 3) == LUA_TNUMBER {
            level = Some(luaL_optinteger(state, 3, 1) as c_int);
        }
        let host = host(state);
        trace_line(state, host, thread, level);
        0
    }
}

/// # Safety
/// Tag and text are the first values of the stack.
unsafe fn trace_line(state: State, host: &Host, thread: State, level: Option<c_int>) {
    unsafe {
        let text = |index| String::from_utf8_lossy(string(state, index).unwrap_or_default());
        let mut line = format!("<TRACE {}> {} {}", text(1), nanoseconds(), text(2));
        let Some(level) = level else {
            return host.caller.log(line);
        };
        let mut places = Vec::new();
        for level in level..level + TRACE_LEVELS {
            let mut debug: lua_Debug = std::mem::zeroed();
            if lua_getstack(thread, level, &mut debug) == 0 {
                break;
            }
            lua_getinfo(thread, c"Sl".as_ptr(), &mut debug);
            if debug.currentline >= 0 {
                let source = CStr::from_ptr(debug.source).to_string_lossy();
                places.push(format!("{source}:{}", debug.currentline));
            }
        }
        if !places.is_empty() {
            line = format!("{line} : {}", places.join(" "));
        }
        host.caller.log(line);
    }
}

/// Most levels of the call stack in a line of a trace.
const TRACE_LEVELS: c_int = 3;

fn nanoseconds() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// `harbor(address)`: the number of the harbor that runs alone here, or 0, and false, because no address is of another.
unsafe extern "C-unwind" fn harbor(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let number = host.node.environment(&host.caller, b"harbor");
        let number = number.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        lua_pushinteger(state, number.unwrap_or(0));
        lua_pushboolean(state, 0);
        2
    }
}

/// `tostring(message, size)`
unsafe extern "C-unwind" fn to_string(state: State) -> c_int {
    unsafe {
        if lua_type(state, 1) <= LUA_TNIL {
            return 0;
        }
        if lua_type(state, 1) == LUA_TSTRING {
            lua_settop(state, 1);
            return 1;
        }
        with_message(state, |state, bytes| {
            push_bytes(state, bytes);
            1
        })
    }
}

/// `unpack(message, size)` or `unpack(string)`
unsafe extern "C-unwind" fn unpack_message(state: State) -> c_int {
    unsafe {
        if lua_type(state, 1) <= LUA_TNIL {
            return 0;
        }
        if lua_type(state, 1) == LUA_TSTRING {
            lua_settop(state, 1);
            let mut length = 0;
            let bytes: *const u8 = lua_tolstring(state, 1, &mut length).cast();
            return unpack(state, std::ptr::slice_from_raw_parts(bytes, length));
        }
        with_message(state, |state, bytes| unpack(state, bytes))
    }
}

/// Reads the message whose address and size are on the stack. Its bytes stay alive: they belong to the current message,
/// or to a string below the results.
///
/// # Safety
/// `state` runs a function of this module, and `read` has nothing to drop when it raises an error.
unsafe fn with_message(state: State, read: unsafe fn(State, *const [u8]) -> c_int) -> c_int {
    unsafe {
        let host = host(state);
        let address = lua_touserdata(state, 1) as usize;
        let size = lua_tointegerx(state, 2, std::ptr::null_mut());
        let body = host.body();
        if size >= 0 && size as usize <= body.len() && body.cast::<u8>() as usize == address {
            lua_settop(state, 0);
            let bytes = std::ptr::slice_from_raw_parts(body.cast::<u8>(), size as usize);
            return read(state, bytes);
        }
        // A finalizer could release a packed message while it is unpacked, so a copy is read.
        let result = copy_out(host, address, size);
        if let Err(text) = result {
            return super::raise(state, host, text);
        }
        let text: *const Vec<u8> = host.text.get();
        lua_pushlstring(state, (*text).as_ptr().cast(), (*text).len());
        let mut length = 0;
        let bytes: *const u8 = lua_tolstring(state, -1, &mut length).cast();
        read(state, std::ptr::slice_from_raw_parts(bytes, length))
    }
}

/// # Safety
/// No reference to the host's text exists.
unsafe fn copy_out(host: &Host, address: usize, size: lua_Integer) -> Result<(), String> {
    let bytes = peek(host, address, size).ok_or_else(|| NO_MESSAGE.to_owned())?;
    unsafe {
        let text = &mut *host.text.get();
        text.clear();
        text.extend_from_slice(&bytes);
    }
    Ok(())
}

/// `pack(...)`: address and size of a packed message, which must be sent or trashed.
unsafe extern "C-unwind" fn pack_message(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let inserted = match pack::pack(state, host, 0, true) {
            Ok(bytes) => {
                let size = bytes.len();
                buffer::insert(bytes)
                    .map(|address| (address, size))
                    .map_err(str::to_owned)
            }
            Err(text) => Err(text),
        };
        finish(
            state,
            host,
            inserted.map(|(address, size)| {
                lua_pushlightuserdata(state, address as *mut c_void);
                lua_pushinteger(state, size as lua_Integer);
                2
            }),
        )
    }
}

/// `packstring(...)`: the packed message as a string.
unsafe extern "C-unwind" fn pack_string(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match pack::pack(state, host, 0, true) {
            Ok(bytes) => {
                // The host holds the bytes until Lua has copied them.
                *host.text.get() = bytes.into();
                let text: *const Vec<u8> = host.text.get();
                lua_pushlstring(state, (*text).as_ptr().cast(), (*text).len());
                1
            }
            Err(text) => super::raise(state, host, text),
        }
    }
}

/// `trash(message, size)`
unsafe extern "C-unwind" fn trash(state: State) -> c_int {
    unsafe {
        if lua_type(state, 1) == LUA_TLIGHTUSERDATA {
            let taken = buffer::take(lua_touserdata(state, 1) as usize);
            drop(taken);
        }
        0
    }
}

unsafe extern "C-unwind" fn now(state: State) -> c_int {
    unsafe {
        lua_pushinteger(state, host(state).node.now());
        1
    }
}

unsafe extern "C-unwind" fn hpc(state: State) -> c_int {
    unsafe {
        lua_pushinteger(state, nanoseconds());
        1
    }
}
