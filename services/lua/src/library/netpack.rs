//! `skynet.netpack`: packages with two bytes of length before them, as gates cut them out of what clients send.
//!
//! Invariants: a client that has declared a size and sent little holds little memory; packages come out in the
//! order of their connections.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use mlua::{
    AnyUserData, Error, IntoLuaMulti, LightUserData, Lua, LuaString, MultiValue, Result, UserData, Value,
};
use rustc_hash::FxHashMap;

use super::events::{self, Event};
use super::{Module, as_value};
use crate::host::Host;
use crate::module::{give_message, take_message};

/// The largest package.
pub const NETPACK_BYTES_MAX: usize = 0xffff;

/// Packages of a service's connections.
#[derive(Default)]
struct Queue {
    /// Whole packages that wait to be taken.
    whole: VecDeque<(u32, Bytes)>,
    /// The beginning of the next package of each connection that has sent one, its length included.
    begun: FxHashMap<u32, BytesMut>,
}

impl UserData for Queue {}

/// The bytes that the package needs whose beginning is given: length and body.
fn package_bytes(beginning: &[u8]) -> Option<usize> {
    let length: [u8; 2] = beginning.get(..2)?.try_into().ok()?;
    Some(2 + usize::from(u16::from_be_bytes(length)))
}

impl Queue {
    /// Takes bytes of a connection: one package that is all there is, or several, which wait.
    fn fill(&mut self, socket: u32, mut bytes: Bytes) -> Option<Bytes> {
        let mut first = None;
        if let Some(mut begun) = self.begun.remove(&socket) {
            while begun.len() < 2 && !bytes.is_empty() {
                begun.extend_from_slice(&bytes.split_to(1));
            }
            let missing = package_bytes(&begun).map_or(0, |count| count - begun.len());
            let taken = missing.min(bytes.len());
            begun.extend_from_slice(&bytes.split_to(taken));
            if begun.len() < 2 || taken < missing {
                self.begun.insert(socket, begun);
                return None;
            }
            first = Some(begun.freeze().slice(2..));
        }
        while let Some(count) = package_bytes(&bytes).filter(|&count| count <= bytes.len()) {
            let package = bytes.split_to(count).slice(2..);
            // Only when a second one comes is it known that the first does not go alone.
            if let Some(earlier) = first.replace(package) {
                self.whole.push_back((socket, earlier));
            }
        }
        if !bytes.is_empty() {
            self.begun.insert(socket, BytesMut::from(&bytes[..]));
        }
        // One that comes alone need not wait, unless others of its connection do.
        if self.whole.iter().any(|(waiting, _)| *waiting == socket) {
            self.whole.extend(first.map(|last| (socket, last)));
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

/// `filter(queue, msg, sz)`: the queue, and what happened.
fn filter(lua: &Lua, host: &Host, (queue, message, size): (Value, LightUserData, i64)) -> Result<MultiValue> {
    let queue = queue_of(lua, queue)?;
    let event = events::decode(take_message(host, message, size)?)
        .ok_or_else(|| Error::runtime("netpack.filter: this message is of no socket"))?;
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
            let package = queue.borrow_mut::<Queue>()?.fill(socket, body);
            if let Some(package) = package {
                let (address, size) = give_message(package)?;
                return (queue, "data", socket, address, size).into_lua_multi(lua);
            }
            let more = !queue.borrow::<Queue>()?.whole.is_empty();
            (queue, more.then_some("more")).into_lua_multi(lua)
        }
        events::CONNECT => (queue, "init", socket, text(lua)?, number).into_lua_multi(lua),
        events::ACCEPT => (queue, "open", number, text(lua)?).into_lua_multi(lua),
        events::WARNING => (queue, "warning", socket, number).into_lua_multi(lua),
        events::CLOSE | events::ERROR => {
            queue.borrow_mut::<Queue>()?.begun.remove(&socket);
            match kind {
                events::CLOSE => (queue, "close", socket).into_lua_multi(lua),
                _ => (queue, "error", socket, text(lua)?).into_lua_multi(lua),
            }
        }
        _ => queue.into_lua_multi(lua),
    }
}

/// `pop(queue)`: the next package, as connection, address and size; nothing when there is none.
fn pop(lua: &Lua, queue: Value) -> Result<MultiValue> {
    let Value::UserData(queue) = queue else {
        return Ok(MultiValue::new());
    };
    let popped = queue.borrow_mut::<Queue>()?.whole.pop_front();
    match popped {
        Some((socket, package)) => {
            let (address, size) = give_message(package)?;
            (socket, address, size).into_lua_multi(lua)
        }
        None => Ok(MultiValue::new()),
    }
}

/// A string, or an address with its size, which is given up.
fn bytes_of(host: &Host, value: Value, size: Option<i64>) -> Result<Bytes> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::LightUserData(address) => take_message(host, address, size.unwrap_or_default()),
        other => Err(Error::runtime(format!(
            "a string or an address with a size was expected, and this is a {}",
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

/// The module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add_of_host("filter", filter)?;
    module.add_of_host("pop", |lua, _, queue| pop(lua, queue))?;
    module.add_of_host("pack", |_, host, all| pack(host, all))?;
    module.add_of_host("clear", |_, _, queue| clear(queue))?;
    module.add_of_host("tostring", to_string)?;
    as_value(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packages of these bodies, one after the other.
    fn packages(bodies: &[Vec<u8>]) -> Vec<u8> {
        let package = |body: &Vec<u8>| [&(body.len() as u16).to_be_bytes()[..], body].concat();
        bodies.iter().flat_map(package).collect()
    }

    /// All that came out, in order.
    fn taken(queue: &mut Queue, chunk: &[u8]) -> Vec<Vec<u8>> {
        let alone = queue.fill(1, Bytes::copy_from_slice(chunk));
        let mut taken: Vec<Vec<u8>> = queue
            .whole
            .drain(..)
            .map(|(_, package)| package.to_vec())
            .collect();
        assert!(alone.is_none() || taken.is_empty(), "one goes alone, or all wait");
        taken.extend(alone.map(|package| package.to_vec()));
        taken
    }

    #[test]
    fn packages_come_out_whole_wherever_they_are_split() {
        let bodies = [vec![], b"one".to_vec(), vec![7; 300], vec![], b"last".to_vec()];
        let bytes = packages(&bodies);
        for size in 1..bytes.len() {
            let mut queue = Queue::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(size) {
                got.extend(taken(&mut queue, chunk));
            }
            assert_eq!(got, bodies, "in chunks of {size}");
            assert!(queue.begun.is_empty());
        }
    }

    #[test]
    fn the_largest_package_comes_through_and_a_declared_one_holds_what_has_come() {
        let bodies = [vec![1; NETPACK_BYTES_MAX]];
        let bytes = packages(&bodies);
        let mut queue = Queue::default();
        assert_eq!(taken(&mut queue, &bytes[..3]), Vec::<Vec<u8>>::new());
        assert!(queue.begun[&1].capacity() < 100);
        assert_eq!(taken(&mut queue, &bytes[3..]), bodies);
    }

    #[test]
    fn what_waits_from_before_goes_first() {
        let mut queue = Queue::default();
        assert_eq!(queue.fill(1, packages(&[vec![1], vec![2]]).into()), None);
        // A whole package of the same connection waits, so this one must wait behind it.
        assert_eq!(queue.fill(1, packages(&[vec![3]]).into()), None);
        // One of another connection need not.
        assert_eq!(
            queue.fill(2, packages(&[vec![4]]).into()),
            Some(Bytes::from_static(&[4]))
        );
        let order: Vec<u8> = queue.whole.iter().map(|(_, package)| package[0]).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
