//! `skynet.mongo.driver`: frames of MongoDB's protocol (OP_MSG) around BSON documents.
//!
//! Documents are made and read by the module `bson`, which passes them as userdata and reads them by address. `reply` returns the
//! address of a document inside the string that it gets: the caller keeps that string while the document is read, as
//! Skynet's driver does. All lengths are checked against what there is.

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi::*;

use super::{State, add_functions, finish, host, string};
use crate::host::Host;

/// The number of OP_MSG.
const OP_MSG: u32 = 2013;

/// Flags of a message: a checksum follows it, and further messages follow it.
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 2;

/// A header without its length: request, response to, operation, flags.
const HEADER_BYTES: usize = 16;

/// The shortest BSON document: its length and its end.
const DOCUMENT_BYTES_MIN: usize = 5;

const FUNCTIONS: [(&CStr, lua_CFunction); 3] = [(c"reply", reply), (c"length", length), (c"op_msg", op_msg)];

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

/// The number in four bytes at this place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*four))
}

/// The request that a reply answers and where its document begins. `None`: the reply is shorter than a header.
fn parse_reply(bytes: &[u8]) -> Result<Option<(u32, usize)>, String> {
    let (Some(request), Some(operation), Some(flags)) =
        (number(bytes, 4), number(bytes, 8), number(bytes, 12))
    else {
        return Ok(None);
    };
    if operation != OP_MSG {
        return Err(format!("Unsupported opcode:{operation}"));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        return Err("Unsupported OP_MSG flag checksumPresent".to_owned());
    }
    if flags & !MORE_TO_COME != 0 {
        return Err(format!("Unsupported OP_MSG flag:{flags}"));
    }
    let kind = bytes.get(HEADER_BYTES).copied();
    if kind != Some(0) {
        let kind = kind.map_or_else(|| "none".to_owned(), |kind| kind.to_string());
        return Err(format!("Unsupported OP_MSG payload type: {kind}"));
    }
    let at = HEADER_BYTES + 1;
    let size = bytes.len() - at;
    match number(bytes, at) {
        Some(length) if length as usize == size && size >= DOCUMENT_BYTES_MIN => Ok(Some((request, at))),
        Some(length) if (length as usize) < size => Err("Unsupported OP_MSG reply: >1 section".to_owned()),
        _ => Err("the reply ends within its document".to_owned()),
    }
}

/// `reply(string)`: true, the request that it answers, and the address of its document; false for a reply without a
/// header.
unsafe extern "C-unwind" fn reply(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let Some(bytes) = string(state, 1) else {
            return finish(state, host, Err("a reply is a string".to_owned()));
        };
        match parse_reply(bytes) {
            Ok(Some((request, at))) => {
                let document = bytes.as_ptr().add(at).cast_mut().cast::<c_void>();
                lua_pushboolean(state, 1);
                // As in Skynet, whose numbers of requests are signed.
                lua_pushinteger(state, lua_Integer::from(request as i32));
                lua_pushlightuserdata(state, document);
                3
            }
            Ok(None) => {
                lua_pushboolean(state, 0);
                1
            }
            Err(text) => finish(state, host, Err(text)),
        }
    }
}

/// `length(string)`: the bytes that follow the four of a frame's length.
unsafe extern "C-unwind" fn length(state: State) -> c_int {
    unsafe {
        let host = host(state);
        let length = string(state, 1).and_then(|bytes| number(bytes, 0));
        let result = match length {
            Some(length) if length as usize >= 4 + HEADER_BYTES && i32::try_from(length).is_ok() => {
                lua_pushinteger(state, lua_Integer::from(length - 4));
                Ok(1)
            }
            Some(length) => Err(format!("a reply of {length} bytes is not one of MongoDB")),
            None => Err("a length is a string of four bytes".to_owned()),
        };
        finish(state, host, result)
    }
}

/// `op_msg(request, flags, document)`: the frame of a command.
unsafe extern "C-unwind" fn op_msg(state: State) -> c_int {
    unsafe {
        let request = luaL_checkinteger(state, 1) as u32;
        let flags = luaL_checkinteger(state, 2) as u32;
        let host = host(state);
        let frame = command(state, request, flags);
        match frame {
            Ok((header, document, length)) => {
                luaL_checkstack(state, 2, std::ptr::null());
                lua_pushlstring(state, header.as_ptr().cast(), header.len());
                lua_pushlstring(state, document.cast(), length);
                lua_concat(state, 2);
                1
            }
            Err(text) => finish(state, host, Err(text)),
        }
    }
}

/// A frame up to its document: its length, the header, and the kind of the section.
type FrameHeader = [u8; 4 + HEADER_BYTES + 1];

/// The header of a command, and its document.
///
/// # Safety
/// `state` runs `op_msg`.
unsafe fn command(state: State, request: u32, flags: u32) -> Result<(FrameHeader, *const u8, usize), String> {
    unsafe {
        // An address alone could be of anything.
        if lua_type(state, 3) != LUA_TUSERDATA {
            return Err("opmsg requires a document of bson.encode".to_owned());
        }
        let document = lua_touserdata(state, 3).cast::<u8>().cast_const();
        let bytes = std::slice::from_raw_parts(document, lua_rawlen(state, 3));
        let length = number(bytes, 0).unwrap_or(0) as usize;
        if length < DOCUMENT_BYTES_MIN || length > bytes.len() {
            return Err(format!(
                "opmsg requires a document of bson.encode, not a userdata of {} bytes that says {length}",
                bytes.len()
            ));
        }
        let mut header: FrameHeader = [0; 4 + HEADER_BYTES + 1];
        let total = u32::try_from(header.len() + length)
            .map_err(|_| format!("a document of {length} bytes is too long"))?;
        for (at, value) in [(0, total), (4, request), (12, OP_MSG), (16, flags)] {
            header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        Ok((header, document, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(operation: u32, flags: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in [7, 9, operation, flags] {
            bytes.extend_from_slice(&u32::to_le_bytes(value));
        }
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_reply_is_taken_apart() {
        let bytes = message(OP_MSG, 0, &[0, 5, 0, 0, 0, 0]);
        assert_eq!(parse_reply(&bytes), Ok(Some((9, 17))));
        assert_eq!(
            parse_reply(&message(OP_MSG, MORE_TO_COME, &[0, 5, 0, 0, 0, 0])),
            Ok(Some((9, 17)))
        );
    }

    #[test]
    fn a_reply_that_is_cut_or_changed_is_an_error() {
        let whole = message(OP_MSG, 0, &[0, 5, 0, 0, 0, 0]);
        for length in 0..HEADER_BYTES {
            assert_eq!(parse_reply(&whole[..length]), Ok(None));
        }
        for length in HEADER_BYTES..whole.len() {
            assert!(parse_reply(&whole[..length]).is_err(), "{length}");
        }
        for (operation, flags, rest) in [
            (1, 0, &[0, 5, 0, 0, 0, 0][..]),
            (OP_MSG, CHECKSUM_PRESENT, &[0, 5, 0, 0, 0, 0]),
            (OP_MSG, 1 << 20, &[0, 5, 0, 0, 0, 0]),
            (OP_MSG, 0, &[1, 5, 0, 0, 0, 0]),
            (OP_MSG, 0, &[0, 5, 0, 0, 0, 0, 0]),
            (OP_MSG, 0, &[0, 255, 255, 255, 255, 0]),
            (OP_MSG, 0, &[0, 4, 0, 0, 0]),
        ] {
            assert!(parse_reply(&message(operation, flags, rest)).is_err());
        }
    }
}
