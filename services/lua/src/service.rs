//! The service kind `snlua`: a service with its own interpreter, on the shard of its handle.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{IntoLuaMulti, Lua, LuaString, Value};
use skyring::{Answer, Context, Error, Message, Payload, Report, Service, SocketEvent};

use crate::arguments;
use crate::command::report_end;
use crate::host::{HELD_CALLS_MAX, Host};
use crate::kind;
use crate::launches::{self, Outcome};
use crate::library::events;
use crate::lualib::Lookup;
use crate::message_logs::Record;
use crate::node::NodeLua;
use crate::raw::signal;
use crate::raw::spare::Duty;
use crate::raw::state::{self, Interpreter};
use crate::{lualib, memory, modules, watch};

/// The session of the timer that runs the service's file after its launch.
const START: u32 = 0x8000_0000;

/// A service in Lua.
pub(crate) struct SnLua {
    node: Arc<NodeLua>,
    arguments: Vec<u8>,
    /// The interpreter; none before the service starts.
    interpreter: Option<Interpreter>,
    /// The messages that came before the service's file has run, which sets their handlers; none once it has.
    early: Option<Vec<Early>>,
}

/// A message that came early.
struct Early {
    kind: u8,
    source: u32,
    session: u32,
    payload: Payload,
}

/// Most messages that a service keeps before its file has run; further sends are dropped, and calls fail.
pub const EARLY_MESSAGES_MAX: usize = 65_536;

impl SnLua {
    pub(crate) fn new(node: Arc<NodeLua>, arguments: &str) -> SnLua {
        SnLua {
            node,
            arguments: arguments::decode(arguments),
            interpreter: None,
            early: Some(Vec::new()),
        }
    }

    fn run_file(&mut self) {
        let early = self.early.take().unwrap_or_default();
        let Some(interpreter) = &self.interpreter else {
            return;
        };
        let host = interpreter.host();
        let ran = interpreter.run_exclusive(0, |_| {
            let ran = run_main(interpreter.lua(), host, &self.arguments);
            interpreter.collect_when_started();
            ran
        });
        if let Err(text) = ran {
            host.caller
                .log_bytes(&[b"lua loader error : ", &text[..]].concat());
            for message in early {
                fail(host, message.source, message.session, "the service did not start");
            }
            launches::report_file_failure(host);
            return host.caller.fail("its file cannot be run");
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
        for message in early {
            interpreter.message(message.kind, message.source, message.session, message.payload);
        }
    }
}

/// Fails a call; session 0 is a send.
fn fail(host: &Host, source: u32, session: u32, text: &str) {
    if session != 0 {
        host.answer(source, session, Err(Error::remote(text)));
    }
}

/// Loads the service's file and runs it.
fn run_main(lua: &Lua, host: &Rc<Host>, arguments: &[u8]) -> Result<(), Vec<u8>> {
    let environment = |key: &str| host.node.environment(&host.caller, key.as_bytes());
    let builtin = environment("builtin_lualib").is_none_or(|value| value != b"false");
    let default_lookup = if builtin {
        Lookup::BeforeUser
    } else {
        Lookup::AlwaysBuiltIn
    };
    // `is_fallback`: the user's paths have no file of this name.
    let lookup = move |is_fallback: bool| if is_fallback { Lookup::All } else { default_lookup };
    let prepare = || {
        // A finalizer may require a module while the interpreter is being closed, when none can be loaded.
        let module_host = Rc::clone(host);
        let module = lua.create_function(move |lua, arguments: (LuaString, bool, bool)| {
            let (name, is_fallback, is_used) = arguments;
            if module_host.is_closing.get() {
                return Ok(Value::Nil);
            }
            // What is built in has a name in ASCII; a file of the user may have any name.
            let Ok(name) = name.to_str() else {
                return Ok(Value::Nil);
            };
            if let Some(open) = modules::find(&name) {
                return open(lua, &module_host);
            }
            match lualib::module(&name, lookup(is_fallback)) {
                Some(file) if file.is_deferred() && !is_used => Ok(Value::Boolean(true)),
                Some(file) => lualib::load(lua, file).map(Value::Function),
                None => Ok(Value::Nil),
            }
        })?;
        let service_host = Rc::clone(host);
        let service = lua.create_function(move |lua, (name, is_fallback): (LuaString, bool)| {
            if service_host.is_closing.get() {
                return Ok(None);
            }
            let Ok(name) = name.to_str() else { return Ok(None) };
            let file = lualib::service(&name, lookup(is_fallback));
            file.map(|file| lualib::load(lua, file)).transpose()
        })?;
        let keys = lua.create_table()?;
        for key in ["lua_path", "lua_cpath", "luaservice", "lualoader", "preload"] {
            keys.set(
                key,
                environment(key)
                    .map(|value| lua.create_string(value))
                    .transpose()?,
            )?;
        }
        let init = lualib::load(lua, &lualib::INIT)?;
        let arguments = lua.create_string(arguments)?;
        Ok::<_, mlua::Error>((init, (module, service, keys, arguments).into_lua_multi(lua)?))
    };
    let (init, arguments) = prepare().map_err(|error| error.to_string().into_bytes())?;
    state::call(lua, init, arguments)
}

impl Service for SnLua {
    /// A node has very many of them, and they have no such hook.
    const STOPS_AT_ONCE: bool = true;

    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let caller = (**context).clone();
        let activity = watch::shard_activity(signal::this_thread(), || caller.node_log());
        let host = Host::new(caller, Arc::clone(&self.node), activity);
        let opened = Interpreter::open(Rc::clone(&host)).map_err(|error| {
            let problem = error.to_string();
            launches::report_start(&host, Some(&problem));
            Error::remote(problem)
        })?;
        self.node.message_logs.add_service(context.handle());
        self.interpreter = Some(opened);
        // The launching service continues first, as in Skynet.
        context.wake_after(std::time::Duration::ZERO, START);
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        if let Some(interpreter) = &self.interpreter {
            report.memory(interpreter.lua().used_memory() as u64);
        }
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let Some(interpreter) = &self.interpreter else {
            return Answer::none();
        };
        let (source, session) = if message.is_call() {
            match interpreter
                .host()
                .accept_call(message.source, context.responder())
            {
                Ok(source_and_session) => source_and_session,
                Err(responder) => {
                    let text = format!("overloaded: {HELD_CALLS_MAX} calls to the service are unanswered");
                    responder.answer(Err(Error::remote(text)));
                    return Answer::none();
                }
            }
        } else {
            (message.source.0, 0)
        };
        let record = Record {
            source,
            kind: message.kind.0,
            session,
            bytes: &message.payload.0,
        };
        self.node.message_logs.record(interpreter.host(), &record);
        match &mut self.early {
            None => interpreter.message(message.kind.0, source, session, message.payload),
            Some(early) if early.len() < EARLY_MESSAGES_MAX => early.push(Early {
                kind: message.kind.0,
                source,
                session,
                payload: message.payload,
            }),
            Some(_) => fail(
                interpreter.host(),
                source,
                session,
                "overloaded: the service has not started yet",
            ),
        }
        Answer::none()
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        if session == START {
            self.run_file();
            if let Some(duty) = Duty::take() {
                // After this turn: what the start has sent goes out first.
                context.spawn(async { duty.fulfil() });
            }
            return;
        }
        if let Some(interpreter) = &self.interpreter {
            let host = interpreter.host();
            let (kind, bytes) = match &result {
                Ok(payload) => (kind::RESPONSE, &payload.0[..]),
                Err(_) => (kind::ERROR, &[][..]),
            };
            let record = Record {
                source: 0,
                kind,
                session,
                bytes,
            };
            self.node.message_logs.record(host, &record);
            interpreter.answer(session, result);
        }
    }

    fn socket(&mut self, _context: &Context<Self>, event: SocketEvent) {
        if let Some(interpreter) = &self.interpreter {
            let bytes = events::encode(&event);
            let record = Record {
                source: 0,
                kind: kind::SOCKET,
                session: 0,
                bytes: &bytes,
            };
            self.node.message_logs.record(interpreter.host(), &record);
            interpreter.message(kind::SOCKET, 0, 0, Payload(bytes));
        }
    }
}

impl Drop for SnLua {
    fn drop(&mut self) {
        if let Some(interpreter) = &self.interpreter {
            let host = interpreter.host();
            self.node.message_logs.remove_service(host.caller.handle());
            host.fail_pending_calls();
            self.node
                .launches
                .finish(host, host.caller.handle(), &Outcome::Lost);
            report_end(interpreter.host());
        }
        self.interpreter = None;
        memory::count_end();
    }
}
