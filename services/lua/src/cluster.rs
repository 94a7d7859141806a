//! The safe part of the module `skynet.cluster.core`: infrequent operations on the cluster.
//!
//! An operation that takes time returns a session, for `await` of `skyring.host`.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{AnyUserData, Lua, Table, UserData, Value};
use skyring::{Address, Caller, ClusterMap, Error, Handle, Monitor, Open, OpenOptions, Payload};

use crate::host::Host;
use crate::library::Module;
use crate::module::answer;
use crate::raw::state;

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Value> {
    let module = Module::new(lua, host)?;
    module.add_with_host("listen", listen)?;
    module.add_with_host("register", register)?;
    module.add_with_host("unregister", unregister)?;
    module.add_with_host("query", query)?;
    module.add_with_host("proxy", proxy)?;
    module.add_with_host("reload", reload)?;
    module.add_with_host("state", node_state)?;
    module.add_with_host("monitor", monitor)?;
    module.add_with_host("next_event", next_event)?;
    state::cluster_module(lua, module.finish()?).map(Value::Table)
}

fn lua_error(error: impl std::fmt::Display) -> mlua::Error {
    mlua::Error::runtime(error.to_string())
}

/// Spawns an operation that takes time, and returns the session that is answered with its values.
fn spawn_for_session<T, F>(host: &Host, work: impl FnOnce(Caller) -> F) -> u32
where
    T: skyring::seri::Pack,
    F: Future<Output = Result<T, Error>> + 'static,
{
    let (caller, session) = (host.caller.clone(), host.next_session());
    let future = work(caller.clone());
    caller.clone().spawn(async move {
        let result = future.await.and_then(|values| Payload::pack(&values));
        answer(&caller, session, result);
    });
    session
}

/// `listen(name or port, clients_max, channels)`: a session, answered with address and port.
fn listen(
    _: &Lua,
    host: &Host,
    (place, clients_max, channels): (Value, Option<usize>, Option<u32>),
) -> mlua::Result<u32> {
    let place = match place {
        Value::Integer(port) => {
            Open::Port(u16::try_from(port).map_err(|_| lua_error(format!("{port} is not a port")))?)
        }
        Value::String(name) => Open::Node(name.to_str()?.to_owned()),
        other => {
            let found = other.type_name();
            return Err(lua_error(format!(
                "cluster.open takes a port or a name of the map, not a {found}"
            )));
        }
    };
    let options = OpenOptions {
        clients_max,
        channels,
    };
    Ok(spawn_for_session(host, |caller| async move {
        let address = caller.cluster().open_with(place, options).await?;
        Ok((address.ip().to_string(), i64::from(address.port())))
    }))
}

/// `register(name, handle)`
fn register(_: &Lua, host: &Host, (name, handle): (String, u32)) -> mlua::Result<()> {
    host.caller
        .cluster()
        .register(&name, Some(Handle(handle)))
        .map_err(lua_error)
}

/// `unregister(name)`
fn unregister(_: &Lua, host: &Host, name: String) -> mlua::Result<()> {
    host.caller.cluster().unregister(&name);
    Ok(())
}

/// `query(node, name)`: a session, answered with the handle.
fn query(_: &Lua, host: &Host, (node, name): (String, String)) -> mlua::Result<u32> {
    Ok(spawn_for_session(host, |caller| async move {
        let handle = caller.cluster().query(&node, &name).await?;
        Ok(i64::from(handle.0))
    }))
}

/// `proxy(node, address)`, or `proxy("node@name")`: a session, answered with the handle of a local service.
fn proxy(_: &Lua, host: &Host, (node, address): (String, Value)) -> mlua::Result<u32> {
    let address = match address {
        Value::Nil => None,
        Value::Integer(handle) => {
            let handle =
                u32::try_from(handle).map_err(|_| lua_error(format!("{handle} is not an address")))?;
            Some(Address::Handle(Handle(handle)))
        }
        Value::String(name) => Some(Address::from(name.to_str()?.as_ref())),
        other => {
            let found = other.type_name();
            return Err(lua_error(format!(
                "an address is a number or a string, not a {found}"
            )));
        }
    };
    Ok(spawn_for_session(host, |caller| async move {
        let cluster = caller.cluster();
        let handle = match address {
            Some(address) => cluster.proxy(&node, address).await?,
            None => cluster.proxy_of(&node).await?,
        };
        Ok(i64::from(handle.0))
    }))
}

/// `reload(table or nil)`: a session, answered when the changes are in effect.
fn reload(_: &Lua, host: &Host, changes: Option<Table>) -> mlua::Result<u32> {
    let changes = changes.map(|table| map_changes(&table)).transpose()?;
    Ok(spawn_for_session(host, |caller| async move {
        match changes {
            Some(changes) => caller.cluster().reload(changes),
            None => caller.cluster().reload_file().await?,
        }
        Ok(())
    }))
}

/// `state(node)`: `unknown`, `up`, `suspect` or `down`.
fn node_state(_: &Lua, host: &Host, node: String) -> mlua::Result<&'static str> {
    Ok(host.caller.cluster().state(&node).name())
}

/// The monitor of a node as a Lua value; empty while a coroutine waits for the next event.
struct MonitorValue(Rc<RefCell<Option<Monitor>>>);

impl UserData for MonitorValue {}

/// `monitor(node)`: a monitor, the argument of `next_event`.
fn monitor(lua: &Lua, host: &Host, node: String) -> mlua::Result<AnyUserData> {
    let monitor = host.caller.cluster().monitor(node).map_err(lua_error)?;
    lua.create_userdata(MonitorValue(Rc::new(RefCell::new(Some(monitor)))))
}

/// `next_event(monitor)`: a session, answered with the change, its cause and its time in seconds since 1970.
fn next_event(_: &Lua, host: &Host, value: AnyUserData) -> mlua::Result<u32> {
    let cell = Rc::clone(&value.borrow::<MonitorValue>()?.0);
    let taken = cell.borrow_mut().take();
    let Some(mut monitor) = taken else {
        return Err(lua_error(
            "another coroutine already waits for the next event of this monitor",
        ));
    };
    Ok(spawn_for_session(host, |_| async move {
        let event = monitor.next().await;
        cell.borrow_mut().replace(monitor);
        let seconds = event.time_ms() as f64 / 1_000.0;
        Ok((event.change.name(), event.cause.to_string(), seconds))
    }))
}

/// The map in a table: strings are addresses, false disables a node.
fn map_changes(table: &Table) -> mlua::Result<ClusterMap> {
    let mut map = ClusterMap::new();
    for pair in table.pairs::<String, Value>() {
        let (name, value) = pair?;
        map = match (name.strip_prefix("__"), value) {
            (Some("nowaiting"), Value::Boolean(nowaiting)) => {
                map.nowaiting = Some(nowaiting);
                map
            }
            (Some(_), _) => map,
            (None, Value::Boolean(false)) => map.disable(&name),
            (None, Value::String(address)) => {
                map.with(&name, address.to_str()?.as_ref()).map_err(lua_error)?
            }
            (None, other) => {
                let found = other.type_name();
                return Err(lua_error(format!(
                    "cluster.reload: {name}: an address or false is expected, not a {found}"
                )));
            }
        };
    }
    Ok(map)
}
