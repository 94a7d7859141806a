//! `skynet.socketdriver`: the engine's sockets with the interface that Skynet's Lua libraries are written for.

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

/// Connections that the kernel holds for a listener, unless it says otherwise.
const BACKLOG_DEFAULT: u32 = 1024;

/// `SocketBuffer` as a value of Lua.
struct Buffer(SocketBuffer);

impl UserData for Buffer {}

fn sockets(host: &Host) -> Sockets {
    host.caller.sockets()
}

/// A socket's number; one that cannot be is that of no socket.
fn id(number: i64) -> SocketId {
    SocketId(u32::try_from(number).unwrap_or(0))
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::runtime(error.to_string())
}

/// Host and port, given apart or as `host:port`, `[address]:port`.
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

/// What is to be sent: a string, a list of strings, or an address with its size, which is given up.
fn outgoing(own: &Host, value: Value, size: Option<i64>) -> Result<Bytes> {
    match value {
        Value::String(text) => Ok(Bytes::copy_from_slice(&text.as_bytes())),
        Value::LightUserData(address) => take_message(own, address, size.unwrap_or_default()),
        Value::Table(list) => {
            let mut bytes = Vec::new();
            for text in list.sequence_values::<LuaString>() {
                bytes.extend_from_slice(&text?.as_bytes());
            }
            Ok(bytes.into())
        }
        Value::Integer(_) | Value::Number(_) => Ok(value.to_string()?.into()),
        other => Err(Error::runtime(format!(
            "a socket takes a string, a list of strings, or an address with a size, and this is a {}",
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
fn unpack(lua: &Lua, own: &Host, (message, size): (LightUserData, i64)) -> Result<MultiValue> {
    let event = events::decode(take_message(own, message, size)?)
        .ok_or_else(|| Error::runtime("this message is of no socket"))?;
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

/// The functions that work on sockets.
fn add_sockets(module: &Module<'_>) -> Result<()> {
    type Listen = (String, Option<i64>, Option<u32>);
    module.add_of_host("listen", |_, own, (address, port, backlog): Listen| {
        let (host, port) = host_and_port(&address, port)?;
        let listener = sockets(own).listen(&host, port, backlog.unwrap_or(BACKLOG_DEFAULT));
        listener.map(|socket| socket.0).map_err(wrong)
    })?;
    module.add_of_host("connect", |_, own, (address, port): (String, Option<i64>)| {
        let (host, port) = host_and_port(&address, port)?;
        if port == 0 {
            return Err(Error::runtime("Invalid port"));
        }
        let socket = sockets(own).connect(&host, port);
        socket.map(|socket| socket.0).map_err(wrong)
    })?;
    module.add_of_host("bind", |_, own, descriptor: i64| match descriptor {
        0 => sockets(own).input().map(|socket| socket.0).map_err(wrong),
        _ => Err(Error::runtime("only the standard input (0) can be bound")),
    })?;
    type Work = fn(&Sockets, SocketId) -> std::result::Result<(), skyring::Error>;
    let works: [(&str, Work); 5] = [
        ("start", Sockets::start),
        ("pause", Sockets::pause),
        ("close", Sockets::close),
        ("shutdown", Sockets::shutdown),
        // Connections never wait to gather small writes here.
        ("nodelay", |_, _| Ok(())),
    ];
    for (name, work) in works {
        module.add_of_host(name, move |_, own, number: i64| {
            work(&sockets(own), id(number)).map_err(wrong)
        })?;
    }
    type Send = (i64, Value, Option<i64>);
    for (name, is_low) in [("send", false), ("lsend", true)] {
        module.add_of_host(name, move |_, own, (number, value, size): Send| {
            let bytes = outgoing(own, value, size)?;
            let written = match is_low {
                true => sockets(own).write_low(id(number), bytes),
                false => sockets(own).write(id(number), bytes),
            };
            Ok(written.is_ok())
        })?;
    }
    module.add_of_host("info", |lua, own, ()| info(lua, sockets(own).info()))?;
    module.add_of_host("unpack", unpack)
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

/// The functions of UDP.
fn add_datagrams(module: &Module<'_>) -> Result<()> {
    module.add_of_host("udp", |_, own, (address, port): (Option<String>, Option<i64>)| {
        let bind = address.map(|address| host_and_port(&address, port)).transpose()?;
        let bind = bind.as_ref().map(|(host, port)| (host.as_str(), *port));
        sockets(own).udp(bind).map(|socket| socket.0).map_err(wrong)
    })?;
    module.add_of_host("udp_listen", |_, own, (address, port): (String, Option<i64>)| {
        let (host, port) = host_and_port(&address, port)?;
        let socket = sockets(own).udp(Some((&host, port)));
        socket.map(|socket| socket.0).map_err(wrong)
    })?;
    module.add_of_host("udp_dial", |_, own, (address, port): (String, Option<i64>)| {
        let (host, port) = host_and_port(&address, port)?;
        let any = host.contains(':').then_some(("::", 0));
        let socket = sockets(own).udp(any).map_err(wrong)?;
        sockets(own).udp_connect(socket, &host, port).map_err(wrong)?;
        Ok(socket.0)
    })?;
    module.add_of_host(
        "udp_connect",
        |_, own, (number, address, port): (i64, String, Option<i64>)| {
            let (host, port) = host_and_port(&address, port)?;
            sockets(own).udp_connect(id(number), &host, port).map_err(wrong)
        },
    )?;
    let address_of = |from: LuaString| {
        events::decode_address(&from.as_bytes()).ok_or_else(|| Error::runtime("Invalid udp address"))
    };
    type Send = (i64, LuaString, Value, Option<i64>);
    module.add_of_host("udp_send", move |_, own, (number, to, value, size): Send| {
        let bytes = outgoing(own, value, size)?;
        Ok(sockets(own).send_to(id(number), address_of(to)?, bytes).is_ok())
    })?;
    module.add_of_host("udp_address", move |_, _, from: LuaString| {
        let address = address_of(from)?;
        Ok((address.ip().to_string(), address.port()))
    })
}

/// The functions that work on what was read. Skynet's have a pool of nodes beside the buffer, which has no use here.
fn add_buffers(module: &Module<'_>) -> Result<()> {
    module.add_of_host("buffer", |lua, _, ()| {
        lua.create_userdata(Buffer(SocketBuffer::default()))
    })?;
    type Push = (Value, Value, LightUserData, i64);
    module.add_of_host("push", |_, own, (value, _, message, size): Push| {
        let bytes = take_message(own, message, size)?;
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        buffer.0.push(bytes);
        Ok(buffer.0.size())
    })?;
    module.add_of_host("pop", |lua, _, (value, _, count): (Value, Value, i64)| {
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        let count = usize::try_from(count).unwrap_or(0);
        let is_there = count > 0 && count <= buffer.0.size();
        let popped = is_there
            .then(|| lua.create_string(buffer.0.pop(count, 0)))
            .transpose()?;
        Ok((popped, buffer.0.size()))
    })?;
    module.add_of_host("readall", |lua, _, (value, _): (Value, Value)| {
        let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
        let size = buffer.0.size();
        lua.create_string(buffer.0.pop(size, 0))
    })?;
    module.add_of_host(
        "readline",
        |lua, _, (value, pool, separator): (Value, Value, LuaString)| {
            let mut buffer = buffer(&value)?.borrow_mut::<Buffer>()?;
            let separator = separator.as_bytes();
            let Some(found) = buffer.0.find(&separator) else {
                return Ok(Value::Nil);
            };
            // Without a pool it is only asked whether there is a line.
            if !matches!(pool, Value::Table(_)) {
                return Ok(Value::Boolean(true));
            }
            let line = buffer.0.pop(found + separator.len(), separator.len());
            lua.create_string(line).map(Value::String)
        },
    )?;
    module.add_of_host("clear", |_, _, (value, _): (Value, Value)| {
        if !value.is_nil() {
            buffer(&value)?.borrow_mut::<Buffer>()?.0.clear();
        }
        Ok(())
    })?;
    module.add_of_host("drop", |_, own, (message, size): (LightUserData, i64)| {
        take_message(own, message, size).map(drop)
    })?;
    module.add_of_host("str2p", |_, _, text: LuaString| {
        give_message(Bytes::copy_from_slice(&text.as_bytes()))
    })?;
    module.add_of_host("header", |_, _, text: LuaString| {
        let bytes = text.as_bytes();
        if !(1..=4).contains(&bytes.len()) {
            return Err(Error::runtime("a header has 1 to 4 bytes"));
        }
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
    })
}

/// The module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    add_sockets(&module)?;
    add_datagrams(&module)?;
    add_buffers(&module)?;
    // Looks a host up, for whoever awaits the session that this gives.
    module.add_of_host("begin_resolve", |_, own, name: String| {
        let (caller, session) = (own.caller.clone(), own.next_session());
        own.caller.spawn(async move {
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

/// Makes `resolve` of its beginning.
const RESOLVE: &str = "
local driver = ...
return function(name)
    local list = {}
    for address in require('skyring.host').await(driver.begin_resolve(name)):gmatch '%S+' do
        table.insert(list, address)
    end
    return list
end";
