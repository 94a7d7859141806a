//! The core of `skynet.stm`: a message that one service replaces and others read, without a message between them.
//!
//! A writer owns the object. `copy` returns its address, which another service passes to `reader`; an address is the number of the
//! object and is never dereferenced. When the writer is collected or its service ends, readers find no message any
//! more, and neither does who comes later with its address.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mlua::{Error, LightUserData, Lua, Result, UserData, UserDataRef, Value};
use rustc_hash::FxHashMap;

use super::{Module, finish_as_value};
use crate::host::Host;
use crate::module::{give_message, take_message};

/// Most objects of `skynet.stm` that the services of a process hold.
pub const STM_OBJECTS_MAX: usize = 1 << 20;

/// The present message of an object with its number: 1 for the first. None: the writer is gone.
type Content = Mutex<(u64, Option<Bytes>)>;

/// The objects whose writers exist.
struct Objects {
    /// The address of the next object. It grows, so an address never means another object.
    next: usize,
    by_address: Option<FxHashMap<usize, Arc<Content>>>,
}

static OBJECTS: Mutex<Objects> = Mutex::new(Objects {
    next: 1,
    by_address: None,
});

fn objects() -> MutexGuard<'static, Objects> {
    OBJECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock(content: &Content) -> MutexGuard<'_, (u64, Option<Bytes>)> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Owns an object.
struct Writer {
    address: usize,
    content: Arc<Content>,
}

impl UserData for Writer {}

impl Writer {
    fn new(message: Bytes) -> Result<Writer> {
        let content = Arc::new(Mutex::new((1, Some(message))));
        let mut objects = objects();
        let address = objects.next;
        let by_address = objects.by_address.get_or_insert_default();
        if by_address.len() >= STM_OBJECTS_MAX {
            return Err(Error::runtime(format!(
                "{STM_OBJECTS_MAX} objects of skynet.stm exist already: drop some writers"
            )));
        }
        by_address.insert(address, Arc::clone(&content));
        objects.next += 1;
        Ok(Writer { address, content })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let removed = {
            let mut objects = objects();
            let by_address = objects.by_address.as_mut();
            by_address.and_then(|by_address| by_address.remove(&self.address))
        };
        drop(removed);
        lock(&self.content).1 = None;
    }
}

/// Reads an object.
struct Reader {
    /// None: the writer was gone already.
    content: Option<Arc<Content>>,
    /// The number of the message that was read last.
    last: Cell<u64>,
}

impl UserData for Reader {}

impl Reader {
    fn new(address: usize) -> Result<Reader> {
        let objects = objects();
        if address == 0 || address >= objects.next {
            return Err(Error::runtime("this is no address from stm.copy"));
        }
        let by_address = objects.by_address.as_ref();
        let content = by_address
            .and_then(|by_address| by_address.get(&address))
            .cloned();
        Ok(Reader {
            content,
            last: Cell::new(0),
        })
    }

    /// The message, if it is another than the last time.
    fn read(&self) -> Option<Bytes> {
        let content = lock(self.content.as_ref()?);
        let (number, message) = &*content;
        if self.last.replace(*number) == *number {
            return None;
        }
        message.clone()
    }
}

/// The bytes of a message: a string, or an address and a size, which this releases.
fn message(host: &Host, value: &Value, size: Option<i64>) -> Result<Bytes> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::LightUserData(address) => take_message(host, *address, size.unwrap_or(-1)),
        other => Err(Error::runtime(format!(
            "a message is a string, or an address and a size, not a {}",
            other.type_name()
        ))),
    }
}

/// The module `skynet.stm.core`.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add_with_host("writer", |lua, host, (value, size): (Value, Option<i64>)| {
        lua.create_userdata(Writer::new(message(host, &value, size)?)?)
    })?;
    module.add_with_host(
        "write",
        |_, host, (writer, value, size): (UserDataRef<Writer>, Value, Option<i64>)| {
            let message = message(host, &value, size)?;
            let mut content = lock(&writer.content);
            *content = (content.0 + 1, Some(message));
            Ok(())
        },
    )?;
    module.add("copy", |_, writer: UserDataRef<Writer>| {
        Ok(LightUserData(writer.address as *mut std::ffi::c_void))
    })?;
    module.add("reader", |lua, address: LightUserData| {
        lua.create_userdata(Reader::new(address.0 as usize)?)
    })?;
    module.add("read", |_, reader: UserDataRef<Reader>| {
        Ok(match reader.read() {
            Some(message) => {
                let (address, size) = give_message(message)?;
                (Some(address), size)
            }
            None => (None, 0),
        })
    })?;
    module.add_with_host("release", |_, host, (address, size): (LightUserData, i64)| {
        // It is gone if the function that read it has sent it on.
        let _ = take_message(host, address, size);
        Ok(())
    })?;
    finish_as_value(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_each_message_once_and_none_after_the_writer() {
        let writer = Writer::new(Bytes::from_static(b"one")).expect("a writer");
        let reader = Reader::new(writer.address).expect("a reader");
        assert_eq!(reader.read(), Some(Bytes::from_static(b"one")));
        assert_eq!(reader.read(), None);
        *lock(&writer.content) = (2, Some(Bytes::from_static(b"two")));
        assert_eq!(reader.read(), Some(Bytes::from_static(b"two")));
        *lock(&writer.content) = (3, Some(Bytes::from_static(b"three")));
        let address = writer.address;
        drop(writer);
        assert_eq!(reader.read(), None);
        assert_eq!(Reader::new(address).expect("a reader").read(), None);
    }

    #[test]
    fn an_invented_address_is_an_error() {
        assert!(Reader::new(0).is_err());
        assert!(Reader::new(usize::MAX).is_err());
    }
}
