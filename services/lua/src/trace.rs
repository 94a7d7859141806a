//! The native part of the module `skyring.trace`: requests over HTTP that belong to the trace of whoever makes them.
//!
//! A coroutine belongs to what it belonged to when it began to wait. So it enters a span, and leaves it again, by waiting
//! for a session that is answered at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mlua::{AnyUserData, Lua, UserData, UserDataMethods, Value};
use skyring::HttpSpan;

use crate::host::Host;
use crate::library::Module;

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Value> {
    let module = Module::new(lua, host)?;
    module.add_with_host("traceparent", |_, host, ()| Ok(host.caller.traceparent()))?;
    module.add_with_host("begin", begin)?;
    module.add_with_host("finish", finish)?;
    module.finish().map(Value::Table)
}

/// A request, until it is finished.
struct Request(RefCell<Option<HttpSpan>>);

impl UserData for Request {
    fn add_methods<M: UserDataMethods<Self>>(_: &mut M) {}
}

/// `begin(header, method)`: the request, and a session after which the coroutine belongs to it; nothing if the header is not one
/// that traces.
fn begin(
    lua: &Lua,
    host: &Host,
    (header, method): (Value, String),
) -> mlua::Result<(Option<AnyUserData>, Option<u32>)> {
    let header = match &header {
        Value::String(header) => header.to_str().ok(),
        // What stands in a request twice is a table, for Skynet's library.
        Value::Nil | Value::Table(_) => None,
        other => {
            let text = format!("a header is a string, not a {}", other.type_name());
            return Err(mlua::Error::runtime(text));
        }
    };
    let span = header.and_then(|header| host.caller.begin_http_span(&header, &method));
    let Some(span) = span else {
        return Ok((None, None));
    };
    let session = host.next_session();
    span.enter(|| host.caller.wake_after(Duration::ZERO, session));
    let request = lua.create_userdata(Request(RefCell::new(Some(span))))?;
    Ok((Some(request), Some(session)))
}

/// `finish(request, ok)`: ends it, and returns a session after which the coroutine belongs to what it did before.
fn finish(_: &Lua, host: &Host, (request, ok): (AnyUserData, bool)) -> mlua::Result<u32> {
    let session = host.next_session();
    let span = request.borrow::<Request>()?.0.take();
    match span {
        Some(mut span) => {
            if !ok {
                span.fail();
            }
            span.leave(|| host.caller.wake_after(Duration::ZERO, session));
        }
        None => host.caller.wake_after(Duration::ZERO, session),
    }
    Ok(session)
}
