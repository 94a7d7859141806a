//! The service kind `snlua`: one interpreter, on the shard of its handle.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{IntoLuaMulti, Lua};
use skyring::{Answer, Context, Error, Message, Payload, Service, SocketEvent};

use crate::command::report_end;
use crate::host::{HELD_CALLS_MAX, Host};
use crate::library::events::{self, SOCKET_KIND};
use crate::lualib::Wanted;
use crate::node::NodeLua;
use crate::raw::signal;
use crate::raw::state::{self, Interpreter};
use crate::{lualib, modules, watch};

/// The session with which a service wakes itself for its first message: its own start.
const START: u32 = 0x8000_0000;

/// A service in Lua.
pub(crate) struct SnLua {
    node: Arc<NodeLua>,
    arguments: String,
    /// Its interpreter, from its start on.
    interpreter: Option<Interpreter>,
}

impl SnLua {
    pub(crate) fn new(node: Arc<NodeLua>, arguments: &str) -> SnLua {
        SnLua {
            node,
            arguments: arguments.to_owned(),
            interpreter: None,
        }
    }

    fn begin(&self) {
        let Some(interpreter) = &self.interpreter else {
            return;
        };
        let host = interpreter.host();
        let ran = interpreter.alone(0, |_| run_main(interpreter.lua(), host, &self.arguments));
        if let Err(text) = ran {
            host.caller.log(format!("lua loader error : {text}"));
            return self.refuse(host);
        }
        let limit = host.memory_limit.get();
        if limit > 0 {
            match interpreter.lua().set_memory_limit(limit) {
                Ok(_) => {
                    let megabytes = limit as f64 / (1024.0 * 1024.0);
                    host.caller.log(format!("Set memory limit to {megabytes:.2} M"));
                }
                Err(error) => host.caller.log(error),
            }
        }
    }

    /// Tells the launcher that the service cannot start, and ends it.
    fn refuse(&self, host: &Host) {
        if let Some(launcher) = host.resolve(".launcher") {
            let text = Payload(bytes::Bytes::from_static(b"ERROR"));
            host.caller.post(launcher, skyring::Kind::TEXT, 0, text);
        }
        host.caller.exit();
    }
}

/// Loads the service's file and runs it.
fn run_main(lua: &Lua, host: &Rc<Host>, arguments: &str) -> Result<(), String> {
    let environment = |key: &str| host.node.environment(&host.caller, key);
    let builtin = environment("builtin_lualib").is_none_or(|value| value != "false");
    let first = if builtin { Wanted::First } else { Wanted::Always };
    // `last`: the user's paths have none of that name.
    let wanted = move |last: bool| if last { Wanted::All } else { first };
    let prepare = || {
        // A finalizer may look for a module too: when the interpreter is being closed there is none to be had.
        let of_module = Rc::clone(host);
        let module = lua.create_function(move |lua, (name, last): (String, bool)| {
            if of_module.is_closing.get() {
                return Ok(None);
            }
            if let Some(open) = modules::find(&name) {
                let value = open(lua, &of_module)?;
                return lua.create_function(move |_, ()| Ok(value.clone())).map(Some);
            }
            let file = lualib::module(&name, wanted(last));
            file.map(|file| lualib::load(lua, file)).transpose()
        })?;
        let of_service = Rc::clone(host);
        let service = lua.create_function(move |lua, (name, last): (String, bool)| {
            if of_service.is_closing.get() {
                return Ok(None);
            }
            let file = lualib::service(&name, wanted(last));
            file.map(|file| lualib::load(lua, file)).transpose()
        })?;
        let keys = lua.create_table()?;
        for key in ["lua_path", "lua_cpath", "luaservice", "lualoader", "preload"] {
            keys.set(key, environment(key))?;
        }
        let init = lualib::load(lua, &lualib::INIT)?;
        Ok::<_, mlua::Error>((init, (module, service, keys, arguments).into_lua_multi(lua)?))
    };
    let (init, arguments) = prepare().map_err(|error| error.to_string())?;
    state::call(lua, init, arguments)
}

impl Service for SnLua {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let caller = (**context).clone();
        let note = watch::note(signal::this_thread(), || caller.node_log());
        let host = Host::new(caller, Arc::clone(&self.node), note);
        let opened = Interpreter::open(host).map_err(|error| Error::remote(error.to_string()))?;
        self.interpreter = Some(opened);
        // Whoever launched it goes on first, as in Skynet.
        context.wake_after(std::time::Duration::ZERO, START);
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let Some(interpreter) = &self.interpreter else {
            return Answer::none();
        };
        let (source, session) = if message.is_call() {
            match interpreter.host().take_over(message.source, context.responder()) {
                Ok(known) => known,
                Err(responder) => {
                    let what = format!("overloaded: the service owes {HELD_CALLS_MAX} answers");
                    responder.answer(Err(Error::remote(what)));
                    return Answer::none();
                }
            }
        } else {
            (message.source.0, 0)
        };
        interpreter.message(message.kind.0, source, session, message.payload);
        Answer::none()
    }

    fn answered(&mut self, _context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        if session == START {
            return self.begin();
        }
        if let Some(interpreter) = &self.interpreter {
            interpreter.answer(session, result);
        }
    }

    fn socket(&mut self, _context: &Context<Self>, event: SocketEvent) {
        if let Some(interpreter) = &self.interpreter {
            interpreter.message(SOCKET_KIND, 0, 0, Payload(events::encode(&event)));
        }
    }
}

impl Drop for SnLua {
    fn drop(&mut self) {
        if let Some(interpreter) = &self.interpreter {
            interpreter.host().give_up();
            report_end(interpreter.host());
        }
    }
}
