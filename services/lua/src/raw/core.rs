//! The module `skynet.core`: Skynet's C interface to the engine, for its own library and for services that
//! use it directly.

use std::ffi::{CStr, c_int, c_void};

use bytes::Bytes;
use mlua::ffi::*;
use skyring::{Error, Handle, Kind, Payload};

use super::dispatch::{ERROR, RESPONSE};
use super::unpack::unpack;
use super::{State, add_functions, address, finish, host, pack, push_bytes, push_text, string, type_name};
use crate::buffer;
use crate::host::{Host, Mode};

/// Its functions.
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

/// The message at an address, or its first `size` bytes, without giving it up.
pub(super) fn look(host: &Host, address: usize, size: lua_Integer) -> Option<Bytes> {
    if address == 0 || size == 0 {
        return Some(Bytes::new());
    }
    let bytes = host.message_at(address).or_else(|| buffer::look(address))?;
    cut(bytes, size)
}

/// The message at an address; a packed one is given up.
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
    "there is no message at this address: it was sent or trashed already, or its handler has let go";

/// The message at `index` of the stack: a string, or an address with its size behind it, which is given up.
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
                "a message is a string or an address with a size, and this is a {}",
                type_name(state, index)
            )),
        }
    }
}

/// `send(address, kind, session or nil, message [, size])`: the session; nothing when nobody is there.
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
            // 0 is the service itself, in Skynet.
            _ => host.caller.handle().0,
        };
        finish(state, host, send_from(state, host, source, 3))
    }
}

/// # Safety
/// `state` runs a function of this module; the kind stands at `index`.
unsafe fn send_from(state: State, host: &Host, source: u32, index: c_int) -> Result<c_int, String> {
    unsafe {
        let target = address(state, host, 1)?;
        let mut is_kind = 0;
        let kind = lua_tointegerx(state, index, &mut is_kind);
        let kind = u8::try_from(kind).ok().filter(|_| is_kind != 0);
        let kind = kind.ok_or_else(|| "a kind of messages is a number from 0 to 255".to_owned())?;
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

/// `callback(function [, forward])`: everything goes to the function from now on.
unsafe extern "C-unwind" fn callback(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TFUNCTION);
        let forward = lua_toboolean(state, 2) != 0;
        lua_settop(state, 1);
        let function = luaL_ref(state, LUA_REGISTRYINDEX);
        // One that was there before stays in the registry: it may be the one that runs.
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
            host.caller.log(String::from_utf8_lossy(text));
        }
        0
    }
}

/// `trace(tag, text [, thread] [, level])`: a line of a trace in the log.
unsafe extern "C-unwind" fn trace(state: State) -> c_int {
    unsafe {
        luaL_checktype(state, 1, LUA_TSTRING);
        luaL_checktype(state, 2, LUA_TSTRING);
        let mut of = state;
        let mut level = None;
        if lua_type(state, 3) == LUA_TTHREAD {
            of = lua_tothread(state, 3);
            level = Some(luaL_optinteger(state, 4, 1) as c_int);
        } else if lua_type(state, 3) == LUA_TNUMBER {
            level = Some(luaL_optinteger(state, 3, 1) as c_int);
        }
        let host = host(state);
        trace_line(state, host, of, level);
        0
    }
}

/// # Safety
/// Tag and text are the first values of the stack.
unsafe fn trace_line(state: State, host: &Host, of: State, level: Option<c_int>) {
    unsafe {
        let text = |index| String::from_utf8_lossy(string(state, index).unwrap_or_default());
        let mut line = format!("<TRACE {}> {} {}", text(1), nanoseconds(), text(2));
        let Some(level) = level else {
            return host.caller.log(line);
        };
        let mut places = Vec::new();
        for level in level..level + TRACE_LEVELS {
            let mut debug: lua_Debug = std::mem::zeroed();
            if lua_getstack(of, level, &mut debug) == 0 {
                break;
            }
            lua_getinfo(of, c"Sl".as_ptr(), &mut debug);
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

/// Calls that a line of a trace shows.
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

/// `harbor(address)`: there are no harbors here.
unsafe extern "C-unwind" fn harbor(state: State) -> c_int {
    unsafe {
        lua_pushinteger(state, 0);
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

/// `unpack(message, size)`, or of a string
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

/// Looks at the message whose address and size are on the stack. Its bytes stay alive: they are those at hand,
/// or stand in a string below the results.
///
/// # Safety
/// `state` runs a function of this module, and `look_at` leaves nothing to drop when it raises.
unsafe fn with_message(state: State, look_at: unsafe fn(State, *const [u8]) -> c_int) -> c_int {
    unsafe {
        let host = host(state);
        let address = lua_touserdata(state, 1) as usize;
        let size = lua_tointegerx(state, 2, std::ptr::null_mut());
        let body = host.body();
        if size >= 0 && size as usize <= body.len() && body.cast::<u8>() as usize == address {
            lua_settop(state, 0);
            let bytes = std::ptr::slice_from_raw_parts(body.cast::<u8>(), size as usize);
            return look_at(state, bytes);
        }
        // A packed message could be given up while it is unpacked, by a metamethod of a finalizer: a copy
        // of it cannot.
        let result = copy_out(host, address, size);
        if let Err(text) = result {
            return super::raise(state, host, text);
        }
        let text: *const Vec<u8> = host.text.get();
        lua_pushlstring(state, (*text).as_ptr().cast(), (*text).len());
        let mut length = 0;
        let bytes: *const u8 = lua_tolstring(state, -1, &mut length).cast();
        look_at(state, std::ptr::slice_from_raw_parts(bytes, length))
    }
}

/// # Safety
/// Nothing refers to the host's text.
unsafe fn copy_out(host: &Host, address: usize, size: lua_Integer) -> Result<(), String> {
    let bytes = look(host, address, size).ok_or_else(|| NO_MESSAGE.to_owned())?;
    unsafe {
        let text = &mut *host.text.get();
        text.clear();
        text.extend_from_slice(&bytes);
    }
    Ok(())
}

/// `pack(...)`: address and size of a packed message, to be sent or trashed.
unsafe extern "C-unwind" fn pack_message(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let given = match pack::pack(state, host, 0, true) {
            Ok(bytes) => {
                let size = bytes.len();
                buffer::give(bytes)
                    .map(|address| (address, size))
                    .map_err(str::to_owned)
            }
            Err(text) => Err(text),
        };
        finish(
            state,
            host,
            given.map(|(address, size)| {
                lua_pushlightuserdata(state, address as *mut c_void);
                lua_pushinteger(state, size as lua_Integer);
                2
            }),
        )
    }
}

/// `packstring(...)`: the same as a string.
unsafe extern "C-unwind" fn pack_string(state: State) -> c_int {
    unsafe {
        let host = host(state);
        match pack::pack(state, host, 0, true) {
            Ok(bytes) => {
                // Kept by the host until the string is made.
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

/// Pushes a handle, or nothing.
///
/// # Safety
/// `state` has room for a value.
pub(super) unsafe fn push_handle(state: State, handle: Option<Handle>) -> c_int {
    unsafe {
        match handle {
            Some(handle) => {
                lua_pushinteger(state, lua_Integer::from(handle.0));
                1
            }
            None => 0,
        }
    }
}

/// Pushes a text or nothing.
///
/// # Safety
/// As for [`push_text`].
pub(super) unsafe fn push_answer(state: State, host: &Host, text: Option<String>) -> c_int {
    match text {
        Some(text) => {
            unsafe { push_text(state, host, text) };
            1
        }
        None => 0,
    }
}
