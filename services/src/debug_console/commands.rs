//! The commands of the console.

use std::fmt::Write;
use std::time::{Duration, Instant};

use skyring::seri::Value;
use skyring::{Caller, Error, Handle, Kind, Payload, ServiceInfo, SocketInfo, SocketSort};

use super::literals;

/// The protocol of debug consoles, which services in Lua answer: Skynet's `PTYPE_DEBUG`.
const DEBUG: Kind = Kind(9);

/// How long a command waits for a service.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The name, the syntax of the arguments and the purpose of each command.
const HELP: [(&str, &str); 13] = [
    ("help", "This help message"),
    ("list", "List all the services"),
    ("stat", "Show waiting messages, tasks and shards of all services"),
    (
        "supervisor",
        "List the supervisors and their children: state, restarts and last end",
    ),
    ("mem", "Show the memory of the process"),
    (
        "ping",
        "ping address : Show how long a service takes to answer, in hundredths of a second",
    ),
    (
        "call",
        "call address values : Call a service with values in Lua's notation: call .db \"GET\", \"a\"",
    ),
    ("start", "start kind ... : Start a service of this kind"),
    ("kill", "kill address : End a service"),
    (
        "exit",
        "exit address : Ask a service to exit; one in Rust is ended",
    ),
    ("netstat", "List the sockets of services"),
    ("getenv", "getenv name : Show a key of the config"),
    (
        "setenv",
        "setenv name value : Not here: only services in Lua can add keys",
    ),
];

/// Commands of Skynet's console about services in Lua.
const OF_LUA: [&str; 19] = [
    "cmem",
    "clearcache",
    "dbgcmd",
    "debug",
    "gc",
    "info",
    "inject",
    "killtask",
    "log",
    "logoff",
    "logon",
    "service",
    "shrtbl",
    "signal",
    "snax",
    "task",
    "trace",
    "uniqtask",
    "setenv",
];

/// Commands of Skynet's console about an allocator that this program does not use.
const OF_JEMALLOC: [&str; 3] = ["dumpheap", "jmem", "profactive"];

/// Runs a command and returns its output, whole lines, or the text of its error.
pub(super) async fn run(caller: &Caller, line: &str) -> Result<String, String> {
    let (name, rest) = split_word(line);
    let words: Vec<&str> = rest.split_whitespace().collect();
    match name {
        "help" => Ok(lines(HELP.map(|(name, text)| (name.to_owned(), text.to_owned())))),
        "list" => Ok(lines(services(caller).await?.iter().map(describe))),
        "stat" => Ok(lines(services(caller).await?.iter().map(statistics))),
        "supervisor" => supervisors(caller).await,
        "mem" => memory(),
        "ping" => ping(caller, words.first().copied()).await,
        "call" => call(caller, rest).await,
        "start" => start(caller, rest).await,
        "kill" => end(caller, words.first().copied(), false).await,
        "exit" => end(caller, words.first().copied(), true).await,
        "netstat" => Ok(sockets(caller.sockets().info())),
        "getenv" => {
            let key = words.first().ok_or("Need a name")?;
            let value = caller.environment(key).unwrap_or_else(|| "nil".to_owned());
            Ok(lines([((*key).to_owned(), value)]))
        }
        _ if OF_LUA.contains(&name) => Err(format!(
            "{name} needs Lua: start the console in Lua, the service file debug_console"
        )),
        _ if OF_JEMALLOC.contains(&name) => {
            Err(format!("{name} needs jemalloc, which this program does not use"))
        }
        _ => Err("Invalid command, type help for command list".to_owned()),
    }
}

/// The first word and what follows it.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// A line for each key and value.
fn lines(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut text = String::new();
    for (key, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}\t{value}");
    }
    text
}

fn text_of(error: Error) -> String {
    error.to_string()
}

async fn services(caller: &Caller) -> Result<Vec<ServiceInfo>, String> {
    caller.services().await.map_err(text_of)
}

fn describe(service: &ServiceInfo) -> (String, String) {
    let mut text = service.what.to_string();
    for name in &service.names {
        let _ = write!(text, "\t{name}");
    }
    if service.restarts > 0 {
        let _ = write!(text, "\trestarts:{}", service.restarts);
    }
    if let Some(end) = &service.last_end {
        let _ = write!(text, "\t{end}");
    }
    (service.handle.to_string(), text)
}

/// What the engine calls a supervisor in the list of services.
const SUPERVISOR: &str = "supervisor ";

/// How long a command waits for a supervisor.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(5);

async fn supervisors(caller: &Caller) -> Result<String, String> {
    let mut text = String::new();
    let services = services(caller).await?;
    for service in services
        .iter()
        .filter(|service| service.what.starts_with(SUPERVISOR))
    {
        let call = caller
            .call(service.handle, "CHILDREN")
            .timeout(SUPERVISOR_TIMEOUT);
        // One that ends meanwhile is no error of the command.
        let Ok(payload) = call.await else { continue };
        let values = payload.values().map_err(text_of)?;
        let [strategy, children @ ..] = &values[..] else {
            continue;
        };
        let title = format!("{}\t{}", service.what, column(strategy));
        text.push_str(&lines([(service.handle.to_string(), title)]));
        for child in children {
            let Value::Table(child) = child else { continue };
            let columns: Vec<String> = child.array.iter().map(column).collect();
            if let [name, handle, state, restarts, end] = &columns[..] {
                let row = format!("{handle}\t{state}\trestarts:{restarts}\t{end}");
                text.push_str(&lines([(name.clone(), row.trim_end().to_owned())]));
            }
        }
    }
    Ok(text)
}

fn column(value: &Value) -> String {
    match value {
        Value::String(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    }
}

fn statistics(service: &ServiceInfo) -> (String, String) {
    let ServiceInfo {
        messages_waiting,
        shard,
        tasks,
        ..
    } = service;
    let text = format!("mqlen:{messages_waiting}\tshard:{shard}\ttask:{tasks}");
    (service.handle.to_string(), text)
}

fn memory() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or("/proc/self/statm has no second number")?;
    Ok(format!("resident\t{:.2} Kb\n", pages as f64 * 4.0))
}

/// The service at an address as a user writes it: `:0000000a`, `a`, `.name` or `@name`.
fn find(caller: &Caller, text: Option<&str>) -> Result<Handle, String> {
    let text = text.ok_or("Need an address")?;
    if text.starts_with(['.', '@']) {
        return caller.find(text).ok_or_else(|| "Not a valid name".to_owned());
    }
    match u32::from_str_radix(text.strip_prefix(':').unwrap_or(text), 16) {
        Ok(handle) if handle != 0 => Ok(Handle(handle)),
        _ => Err("Need an address".to_owned()),
    }
}

async fn ping(caller: &Caller, address: Option<&str>) -> Result<String, String> {
    let handle = find(caller, address)?;
    let begun = Instant::now();
    let call = caller.call(handle, &"PING").kind(DEBUG);
    match call.timeout(ANSWER_TIMEOUT).await {
        // A service in Rust that does not know the command answers all the same.
        Ok(_) | Err(Error::Remote { .. } | Error::Invalid { .. }) => {
            Ok(format!("{}\n", begun.elapsed().as_millis() / 10))
        }
        Err(error) => Err(text_of(error)),
    }
}

async fn call(caller: &Caller, rest: &str) -> Result<String, String> {
    let (address, values) = split_word(rest);
    let handle = find(caller, Some(address).filter(|address| !address.is_empty()))?;
    let values = literals::parse(values)?;
    if values.is_empty() {
        return Err("need arguments".to_owned());
    }
    let answer = caller.call(handle, &values);
    let answer = answer.timeout(ANSWER_TIMEOUT).await.map_err(text_of)?;
    let values: Vec<Value> = answer.values().map_err(text_of)?;
    let count = ("n".to_owned(), values.len().to_string());
    let numbered = values.iter().enumerate();
    let rows = numbered.map(|(index, value)| ((index + 1).to_string(), value.to_string()));
    Ok(lines(rows.chain([count])))
}

async fn start(caller: &Caller, rest: &str) -> Result<String, String> {
    let (kind, arguments) = split_word(rest);
    if kind.is_empty() {
        return Err("Need the kind of a service".to_owned());
    }
    let handle = caller.launch_kind(kind, arguments).await.map_err(text_of)?;
    Ok(lines([(handle.to_string(), kind.to_owned())]))
}

/// Ends a service. `asks`: one in Lua is asked to exit.
async fn end(caller: &Caller, address: Option<&str>, asks: bool) -> Result<String, String> {
    let handle = find(caller, address)?;
    let services = services(caller).await?;
    let service = services.iter().find(|service| service.handle == handle);
    let service = service.ok_or_else(|| format!("there is no service {handle}"))?;
    if asks && service.what.starts_with("snlua ") {
        let payload = Payload::pack(&"EXIT").map_err(text_of)?;
        caller.post(handle, DEBUG, 0, payload);
    } else {
        caller.end_service(handle);
    }
    Ok(lines([describe(service)]))
}

fn sockets(list: Vec<SocketInfo>) -> String {
    let mut text = String::new();
    for (index, socket) in list.iter().enumerate() {
        let sort = match socket.sort {
            _ if socket.is_closing => "CLOSING",
            SocketSort::Listener => "LISTEN",
            SocketSort::Stream => "TCP",
            SocketSort::Datagram => "UDP",
            SocketSort::Input => "BIND",
        };
        let SocketInfo {
            owner,
            socket: id,
            address,
            read,
            written,
            waiting,
            ..
        } = socket;
        let _ = match socket.sort {
            SocketSort::Listener => {
                writeln!(
                    text,
                    "{}\taccept:{read}\taddress:{owner}\tid:{id}\tsock:{address}\ttype:{sort}",
                    index + 1
                )
            }
            _ => writeln!(
                text,
                "{}\taddress:{owner}\tid:{id}\tpeer:{address}\tread:{read}\ttype:{sort}\twbuffer:{waiting}\twrite:{written}",
                index + 1
            ),
        };
    }
    text
}
