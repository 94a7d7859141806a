//! `skynet.socketdriver`: the engine's sockets behind the interface that Skynet's Lua libraries expect.

use std::rc::Rc;

use bytes::Bytes;
use mlua::{
    AnyUserData, Error, IntoLuaMulti, LightUserData, Lua, LuaString, MultiValue, Result, Table, UserData,
    Value,
};
use skyring::{Payload, SocketId, SocketInfo, SocketSort, Sockets};

use super::Module;
use super::events;
use super::socket_buffer::SocketBuffer;
use crate::host::Host;
use crate::module::{answer, give_message, take_message};

/// Default for the number of connections that the kernel queues for a listener.
const BACKLOG_DEFAULT: u32 = 1024;

/// `SocketBuffer` as a value of Lua.
struct Buffer(SocketBuffer);

impl UserData for Buffer {}

fn sockets(host: &Host) -> Sockets {
    host.caller.sockets()
}

/// The socket with this number. A number out of range becomes 0, which is never a socket.
fn id(number: i64) -> SocketId {
    SocketId(u32::try_from(number).unwrap_or(0))
}

fn lua_error(error: impl std::fmt::Display) -> Error {
    Error::runtime(error.to_string())
}

/// Splits host and port, given apart or as `host:port` or `[address]:port`.
fn host_and_port(address: &str, port: Option<i64>) -> Result<(String, u16)> {
    let invalid = || Error::runtime(format!("Invalid address {address}."));
    if let Some(port) = port {
        let port = u16::try_from(port).map_err(|_| Error::runtime("Invalid port"))?;
        let host = address.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        return Ok((host.unwrap_or(address).to_owned(), port));
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(invalid)?,
        None => address.split_once(':').ok_or_else(invalid)?,
    };
    let port = port
        .parse()
        .map_err(|_| Error::runtime(format!("Invalid port in address {address}.")))?;
    Ok((host.to_owned(), port))
}

/// The bytes to send: a string, a list of strings, or a message at an address with its size, which is released.
fn outgoing(lua_host: &Host, value: Value, size: Option<i64>) -> Result<Bytes> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::LightUserData(address) => take_message(lua_host, address, size.unwrap_or_default()),
        Value::Table(list) => {
            let mut bytes = Vec::new();
            for text in list.sequence_values::<LuaString>() {
                bytes.extend_from_slice(&text?.as_bytes());
            }
            Ok(bytes.into())
        }
        Value::Integer(_) | Value::Number(_) => Ok(value.to_string()?.into()),
        other => Err(Error::runtime(format!(
            "expected a string, a list of strings, or an address with a size, got a {}",
            other.type_name()
        ))),
    }
}

fn buffer(value: &Value) -> Result<&AnyUserData> {
    match value {
        Value::UserData(buffer) => Ok(buffer),
        _ => Err(Error::runtime("Need buffer object at param 1")),
    }
}

/// `unpack(msg, sz)`: type, socket, number, and text or address.
fn unpack(lua: &Lua, lua_host: &Host, (message, size): (LightUserData, i64)) -> Result<MultiValue> {
    let event = events::decode(take_message(lua_host, message, size)?)
        .ok_or_else(|| Error::runtime("the message is not an event of a socket"))?;
    let head = (event.kind, event.socket, event.number);
    match event.kind {
        events::DATA => (head.0, head.1, head.2, give_message(event.body)?.0).into_lua_multi(lua),
        events::UDP => {
            let from = lua.create_string(&event.from)?;
            (head.0, head.1, head.2, give_message(event.body)?.0, from).into_lua_multi(lua)
        }
        _ => (head.0, head.1, head.2, lua.create_string(&event.body)?).into_lua_multi(lua),
    }
}

/// Adds the functions for sockets.
fn add_sockets(module: &Module<'_>) -> Result<()> {
    type Listen = (String, Option<i64>, Option<u32>);
    module.add_with_host("listen", |_, lua_host, (address, port, backlog): Listen| {
        let (host, port) = host_and_port(&address, port)?;
        let listener = sockets(lua_host).listen(&host, port, backlog.unwrap_or(BACKLOG_DEFAULT));
        listener.map(|socket| socket.0).map_err(lua_error)
    })?;
    module.add_with_host(
        "connect",
        |_, lua_host, (address, port): (String, Option<i64>)| {
            let (host, port) = host_and_port(&address, port)?;
            if port == 0 {
                return Err(Error::runtime("Invalid port"));
            }
            let socket = sockets(lua_host).connect(&host, port);
            socket.map(|socket| socket.0).map_err(lua_error)
        },
    )?;
    module.add_with_host("bind", |_, lua_host, descriptor: i64| match descriptor {
        0 => sockets(lua_host)
            .input()
            .map(|socket| socket.0)
            .map_err(lua_error),
        _ => Err(Error::runtime("only the standard input (0) can be bound")),
    })?;
    type Operation = fn(&Sockets, SocketId) -> std::result::Result<(), skyring::Error>;
    let operations: [(&str, Operation); 5] = [
        ("start", Sockets::start),
        ("pause", Sockets::pause),
        ("close", Sockets::close),
        ("shutdown", Sockets::shutdown),
        // All connections have TCP_NODELAY set.
        ("nodelay", |_, _| Ok(())),
    ];
    for (name, operation) in operations {
        module.add_with_host(name, move |_, lua_host, number: i64| {
            operation(&sockets(lua_host), id(number)).map_err(lua_error)
        })?;
    }
    type Send = (i64, Value, Option<i64>);
    for (name, is_low) in [("send", false), ("lsend", true)] {
        module.add_with_host(name, move |_, lua_host, (number, value, size): Send| {
            let bytes = outgoing(lua_host, value, size)?;
            let written = match is_low {
                true => sockets(lua_host).write_low(id(number), bytes),
                false => sockets(lua_host).write(id(number), bytes),
            };
            Ok(written.is_ok())
        })?;
    }
    module.add_with_host("info", |lua, lua_host, ()| info(lua, sockets(lua_host).info()))?;
    module.add_with_host("unpack", unpack)
}

fn info(lua: &Lua, list: Vec<SocketInfo>) -> Result<Table> {
    let rows = lua.create_table()?;
    for socket in list {
        let row = lua.create_table()?;
        row.set("id", socket.socket.0)?;
        row.set("address", socket.owner.0)?;
        let sort = match socket.sort {
            _ if socket.is_closing => "CLOSING",
            SocketSort::Listener => "LISTEN",
            SocketSort::Stream => "TCP",
            SocketSort::Datagram => "UDP",
            SocketSort::Input => "BIND",
        };
        row.set("type", sort)?;
        if socket.sort == SocketSort::Listener {
            row.set("accept", socket.read)?;
            row.set("sock", &*socket.address)?;
        } else {
            row.set("read", socket.read)?;
            row.set("write", socket.written)?;
            row.set("wbuffer", socket.waiting)?;
            row.set("reading", socket.is_started)?;
            row.set("writing", socket.waiting > 0)?;
            row.set("peer", &*socket.address)?;
        }
        rows.push(row)?;
    }
    Ok(rows)
}

/// Adds the functions for UDP.
fn add_datagrams(module: &Module<'_>) -> Result<()> {
    module.add_with_host(
        "udp",
        |_, lua_host, (address, port): (Option<String>, Option<i64>)| {
            let bind = address.map(|address| host_and_port(&address, port)).transpose()?;
            let bind = bind.as_ref().map(|(host, port)| (host.as_str(), *port));
            sockets(lua_host)
                .udp(bind)
                .map(|socket| socket.0)
                .map_err(lua_error)
        },
    )?;
    module.add_with_host(
        "udp_listen",
        |_, lua_host, (address, port): (String, Option<i64>)| {
            let (host, port) = host_and_port(&address, port)?;
            let socket = sockets(lua_host).udp(Some((&host, port)));
            socket.map(|socket| socket.0).map_err(lua_error)
        },
    )?;
    module.add_with_host(
        "udp_dial",
        |_, lua_host, (address, port): (String, Option<i64>)| {
            let (host, port) = host_and_port(&address, port)?;
            let any = host.contains(':').then_some(("::", 0));
            let socket = sockets(lua_host).udp(any).map_err(lua_error)?;
            sockets(lua_host)
                .udp_connect(socket, &host, port)
                .map_err(lua_error)?;
            Ok(socket.0)
        },
    )?;
    module.add_with_host(
        "udp_connect",
        |_, lua_host, (number, address, port): (i64, String, Option<i64>)| {
            let (host, port) = host_and_port(&address, port)?;
            sockets(lua_host)
                .udp_connect(id(number), &host, port)
                .map_err(lua_error)
        },
    )?;
    let address_of = |from: LuaString| {
        events::decode_address(&from.as_bytes()).ok_or_else(|| Error::runtime("Invalid udp address"))
    };
    type Send = (i64, LuaString, Value, Option<i64>);
    module.add_with_host("udp_send", move |_, lua_host, (number, to, value, size): Send| {
        let bytes = outgoing(lua_host, value, size)?;
        Ok(sockets(lua_host)
            .send_to(id(number), address_of(to)?, bytes)
            .is_ok())
    })?;
    module.add_with_host("udp_address", move |_, _, from: LuaString| {
        let address = address_of(from)?;
        Ok((address.ip().to_string(), address.port()))
    })
}

/// Adds the functions for received bytes. Skynet's take a pool of nodes beside the buffer, which is ignored here.
fn add_buffers(module: &Module<'_>) -> Result<()> {
    module.add_with_host("buffer", |lua, _, ()| {
        lua.create_userdata(Buffer(SocketBuffer::default()))
    })?;
    type Push = (Value, Value, LightUserData, i64);
    module.add_with_host("push", |_, lua_host, (value, _, message, size): Push| {
        let bytes = take_message(lua_host, message, size)?;
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        buffer.0.push(bytes);
        Ok(buffer.0.size())
    })?;
    module.add_with_host("pop", |lua, _, (value, _, count): (Value, Value, i64)| {
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        let count = usize::try_from(count).unwrap_or(0);
        let is_available = count > 0 && count <= buffer.0.size();
        let popped = is_available
            .then(|| lua.create_string(buffer.0.pop(count, 0)))
            .transpose()?;
        Ok((popped, buffer.0.size()))
    })?;
    module.add_with_host("readall", |lua, _, (value, _): (Value, Value)| {
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        let size = buffer.0.size();
        lua.create_string(buffer.0.pop(size, 0))
    })?;
    module.add_with_host(
        "readline",
        |lua, _, (value, pool, separator): (Value, Value, LuaString)| {
            let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
            let separator = separator.as_bytes();
            let Some(found) = buffer.0.find(&separator) else {
                return Ok(Value::Nil);
            };
            // Without a pool the caller only asks whether there is a line.
            if !matches!(pool, Value::Table(_)) {
                return Ok(Value::Boolean(true));
            }
            let line = buffer.0.pop(found + separator.len(), separator.len());
            lua.create_string(line).map(Value::String)
        },
    )?;
    module.add_with_host("clear", |_, _, (value, _): (Value, Value)| {
        if !value.is_nil() {
            buffer(&value)?.borrow_mut::<Buffer>()?.0.clear();
        }
        Ok(())
    })?;
    module.add_with_host("drop", |_, lua_host, (message, size): (LightUserData, i64)| {
        take_message(lua_host, message, size).map(drop)
    })?;
    module.add_with_host("str2p", |_, _, text: LuaString| {
        give_message(Bytes::copy_from_slice(&text.as_bytes()))
    })?;
    module.add_with_host("header", |_, _, text: LuaString| {
        let bytes = text.as_bytes();
        if !(1..=4).contains(&bytes.len()) {
            return Err(Error::runtime("a header has 1 to 4 bytes"));
        }
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
    })
}

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    add_sockets(&module)?;
    add_datagrams(&module)?;
    add_buffers(&module)?;
    // Resolves a host name. The returned session is answered with the addresses.
    module.add_with_host("begin_resolve", |_, lua_host, name: String| {
        let (caller, session) = (lua_host.caller.clone(), lua_host.next_session());
        lua_host.caller.spawn(async move {
            let found = caller.sockets().resolve(&name).await;
            let packed = found.and_then(|found| {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                Payload::pack(&found.join(" "))
            });
            answer(&caller, session, packed);
        });
        Ok(session)
    })?;
    let module = module.finish()?;
    let resolve = lua.load(RESOLVE).set_name("=resolve").call::<Value>(&module)?;
    module.set("resolve", resolve)?;
    Ok(Value::Table(module))
}

/// Defines `resolve`, which awaits the session of `begin_resolve`.
const RESOLVE: &str = "
local driver = ...
return function(name)
    local list = {}
    for address in require('skyring.host').await(driver.begin_resolve(name)):gmatch '%S+' do
        table.insert(list, address)
    end
    return list
end";
