//! `skynet.netpack`: splits the byte streams of a gate's clients into packages. A package is preceded by its length, two
//! bytes, big-endian.
//!
//! Invariants: a client that has declared a long package takes only the memory of the bytes it has sent; the packages
//! of a connection stay in order.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use mlua::{
    AnyUserData, Error, IntoLuaMulti, LightUserData, Lua, LuaString, MultiValue, Result, UserData, Value,
};
use rustc_hash::FxHashMap;

use super::events::{self, Event};
use super::{Module, finish_as_value};
use crate::host::Host;
use crate::module::{give_message, take_message};

/// Most bytes of a package without its length.
pub const NETPACK_BYTES_MAX: usize = 0xffff;

/// The packages of a service's connections.
#[derive(Default)]
struct Queue {
    /// Complete packages, with their connections, that are not yet taken.
    complete: VecDeque<(u32, Bytes)>,
    /// The incomplete package of each connection, its length included.
    partial: FxHashMap<u32, BytesMut>,
}

impl UserData for Queue {}

/// The size of the package with this beginning: length and body.
fn package_bytes(beginning: &[u8]) -> Option<usize> {
    let length: [u8; 2] = beginning.get(..2)?.try_into().ok()?;
    Some(2 + usize::from(u16::from_be_bytes(length)))
}

impl Queue {
    /// Adds bytes of a connection. Returns a package if it is the only complete one; else complete packages are queued.
    fn push(&mut self, socket: u32, mut bytes: Bytes) -> Option<Bytes> {
        let mut first = None;
        if let Some(mut partial) = self.partial.remove(&socket) {
            while partial.len() < 2 && !bytes.is_empty() {
                partial.extend_from_slice(&bytes.split_to(1));
            }
            let missing = package_bytes(&partial).map_or(0, |count| count - partial.len());
            let taken = missing.min(bytes.len());
            partial.extend_from_slice(&bytes.split_to(taken));
            if partial.len() < 2 || taken < missing {
                self.partial.insert(socket, partial);
                return None;
            }
            first = Some(partial.freeze().slice(2..));
        }
        while let Some(count) = package_bytes(&bytes).filter(|&count| count <= bytes.len()) {
            let package = bytes.split_to(count).slice(2..);
            // A second package shows that the first is not the only one.
            if let Some(earlier) = first.replace(package) {
                self.complete.push_back((socket, earlier));
            }
        }
        if !bytes.is_empty() {
            self.partial.insert(socket, BytesMut::from(&bytes[..]));
        }
        // A single package is returned at once, unless earlier ones of its connection are queued.
        if self.complete.iter().any(|(waiting, _)| *waiting == socket) {
            self.complete.extend(first.map(|last| (socket, last)));
            return None;
        }
        first
    }
}

fn queue_of(lua: &Lua, value: Value) -> Result<AnyUserData> {
    match value {
        Value::UserData(queue) => Ok(queue),
        _ => lua.create_userdata(Queue::default()),
    }
}

/// `filter(queue, msg, sz)`: the queue, and the event.
fn filter(lua: &Lua, host: &Host, (queue, message, size): (Value, LightUserData, i64)) -> Result<MultiValue> {
    let queue = queue_of(lua, queue)?;
    let event = events::decode(take_message(host, message, size)?)
        .ok_or_else(|| Error::runtime("netpack.filter: the message is not an event of a socket"))?;
    let Event {
        kind,
        socket,
        number,
        body,
        ..
    } = event;
    let text = |lua: &Lua| lua.create_string(&body);
    match kind {
        events::DATA => {
            let package = queue.borrow_mut::<Queue>()?.push(socket, body);
            if let Some(package) = package {
                let (address, size) = give_message(package)?;
                return (queue, "data", socket, address, size).into_lua_multi(lua);
            }
            let more = !queue.borrow::<Queue>()?.complete.is_empty();
            (queue, more.then_some("more")).into_lua_multi(lua)
        }
        events::CONNECT => (queue, "init", socket, text(lua)?, number).into_lua_multi(lua),
        events::ACCEPT => (queue, "open", number, text(lua)?).into_lua_multi(lua),
        events::WARNING => (queue, "warning", socket, number).into_lua_multi(lua),
        events::CLOSE | events::ERROR => {
            queue.borrow_mut::<Queue>()?.partial.remove(&socket);
            match kind {
                events::CLOSE => (queue, "close", socket).into_lua_multi(lua),
                _ => (queue, "error", socket, text(lua)?).into_lua_multi(lua),
            }
        }
        _ => queue.into_lua_multi(lua),
    }
}

/// `pop(queue)`: the next package as connection, address and size; no values if there is none.
fn pop(lua: &Lua, queue: Value) -> Result<MultiValue> {
    let Value::UserData(queue) = queue else {
        return Ok(MultiValue::new());
    };
    let popped = queue.borrow_mut::<Queue>()?.complete.pop_front();
    match popped {
        Some((socket, package)) => {
            let (address, size) = give_message(package)?;
            (socket, address, size).into_lua_multi(lua)
        }
        None => Ok(MultiValue::new()),
    }
}

/// The bytes of a string, or of a message at an address with its size, which is released.
fn bytes_of(host: &Host, value: Value, size: Option<i64>) -> Result<Bytes> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::LightUserData(address) => take_message(host, address, size.unwrap_or_default()),
        other => Err(Error::runtime(format!(
            "expected a string or an address with a size, got a {}",
            other.type_name()
        ))),
    }
}

/// `pack(text)`: address and size of a package.
fn pack(host: &Host, (value, size): (Value, Option<i64>)) -> Result<(LightUserData, i64)> {
    let body = bytes_of(host, value, size)?;
    if body.len() > NETPACK_BYTES_MAX {
        return Err(Error::runtime(format!(
            "Invalid size (too long) of data : {}",
            body.len()
        )));
    }
    let mut package = BytesMut::with_capacity(2 + body.len());
    package.extend_from_slice(&(body.len() as u16).to_be_bytes());
    package.extend_from_slice(&body);
    give_message(package.freeze())
}

fn clear(queue: Value) -> Result<()> {
    if let Value::UserData(queue) = queue {
        *queue.borrow_mut::<Queue>()? = Queue::default();
    }
    Ok(())
}

fn to_string(lua: &Lua, host: &Host, (value, size): (Value, Option<i64>)) -> Result<LuaString> {
    lua.create_string(bytes_of(host, value, size)?)
}

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add_with_host("filter", filter)?;
    module.add_with_host("pop", |lua, _, queue| pop(lua, queue))?;
    module.add_with_host("pack", |_, host, all| pack(host, all))?;
    module.add_with_host("clear", |_, _, queue| clear(queue))?;
    module.add_with_host("tostring", to_string)?;
    finish_as_value(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of packages with these bodies.
    fn packages(bodies: &[Vec<u8>]) -> Vec<u8> {
        let package = |body: &Vec<u8>| [&(body.len() as u16).to_be_bytes()[..], body].concat();
        bodies.iter().flat_map(package).collect()
    }

    /// The complete packages after this chunk, in order.
    fn taken(queue: &mut Queue, chunk: &[u8]) -> Vec<Vec<u8>> {
        let alone = queue.push(1, Bytes::copy_from_slice(chunk));
        let mut taken: Vec<Vec<u8>> = queue
            .complete
            .drain(..)
            .map(|(_, package)| package.to_vec())
            .collect();
        assert!(
            alone.is_none() || taken.is_empty(),
            "one is returned, or all are queued"
        );
        taken.extend(alone.map(|package| package.to_vec()));
        taken
    }

    #[test]
    fn packages_are_complete_wherever_the_bytes_are_split() {
        let bodies = [vec![], b"one".to_vec(), vec![7; 300], vec![], b"last".to_vec()];
        let bytes = packages(&bodies);
        for size in 1..bytes.len() {
            let mut queue = Queue::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(size) {
                got.extend(taken(&mut queue, chunk));
            }
            assert_eq!(got, bodies, "in chunks of {size}");
            assert!(queue.partial.is_empty());
        }
    }

    #[test]
    fn the_largest_package_passes_and_a_declared_one_takes_only_what_has_arrived() {
        let bodies = [vec![1; NETPACK_BYTES_MAX]];
        let bytes = packages(&bodies);
        let mut queue = Queue::default();
        assert_eq!(taken(&mut queue, &bytes[..3]), Vec::<Vec<u8>>::new());
        assert!(queue.partial[&1].capacity() < 100);
        assert_eq!(taken(&mut queue, &bytes[3..]), bodies);
    }

    #[test]
    fn queued_packages_of_a_connection_come_first() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(1, packages(&[vec![1], vec![2]]).into()), None);
        // Complete packages of the same connection are queued, so this one is queued behind them.
        assert_eq!(queue.push(1, packages(&[vec![3]]).into()), None);
        // A package of another connection is returned at once.
        assert_eq!(
            queue.push(2, packages(&[vec![4]]).into()),
            Some(Bytes::from_static(&[4]))
        );
        let order: Vec<u8> = queue.complete.iter().map(|(_, package)| package[0]).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
