//! Skynet's commands, by which a service controls itself and its node.

use std::time::Duration;

use skyring::{Handle, Kind, Payload};

use crate::host::Host;
use crate::kind;
use crate::launches::{self, Outcome};
use crate::raw::signal;
use crate::watch;

/// A duration from Skynet's unit of time, hundredths of a second.
pub(crate) fn ticks(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0).saturating_mul(10))
}

/// What is wrong with a parameter in another encoding.
const NO_TEXT: &str = "the name of a service is UTF-8 text, which this is not";

/// Runs a command. `None`: the command has no answer, or is unknown.
///
/// # Errors
/// The cause of the failure.
pub(crate) fn run(host: &Host, name: &str, parameter: &[u8]) -> Result<Option<Vec<u8>>, String> {
    match name {
        // Their values may be in any encoding.
        "GETENV" => Ok(host.node.environment(&host.caller, parameter)),
        "SETENV" => {
            if let Some(space) = parameter.iter().position(|byte| *byte == b' ') {
                let (key, value) = (&parameter[..space], &parameter[space + 1..]);
                host.node.set_environment(key, value)?;
            }
            Ok(None)
        }
        "LAUNCH" => Ok(launch(host, parameter)),
        _ => match str::from_utf8(parameter) {
            Ok(parameter) => Ok(run_with_text(host, name, parameter)?.map(String::into_bytes)),
            // No service has such a name.
            Err(_) if name == "QUERY" => Ok(None),
            Err(_) => Err(NO_TEXT.to_owned()),
        },
    }
}

/// `LAUNCH KIND ARGUMENTS`: the address of the new service.
fn launch(host: &Host, parameter: &[u8]) -> Option<Vec<u8>> {
    let parameter = parameter.trim_ascii();
    let space = parameter.iter().position(u8::is_ascii_whitespace);
    let (kind, arguments) = parameter.split_at(space.unwrap_or(parameter.len()));
    let kind = String::from_utf8_lossy(kind);
    let handle = launches::begin(host, &kind, arguments.trim_ascii())?;
    Some(handle.to_string().into_bytes())
}

fn run_with_text(host: &Host, name: &str, parameter: &str) -> Result<Option<String>, String> {
    let caller = &host.caller;
    let answer = match name {
        "TIMEOUT" => {
            let count = parameter.trim().parse().unwrap_or(0);
            let session = host.next_session();
            caller.wake_after(ticks(count), session);
            Some(session.to_string())
        }
        "REG" if parameter.is_empty() => Some(format!(":{:x}", caller.handle().0)),
        "REG" => Some(register_name(host, parameter, caller.handle())?),
        "NAME" => {
            let (name, address) = parameter
                .split_once(' ')
                .ok_or_else(|| format!("NAME takes a name and an address, not \"{parameter}\""))?;
            let handle = host
                .resolve(address.trim())
                .ok_or_else(|| format!("there is no service at the address {address}"))?;
            Some(register_name(host, name, handle)?)
        }
        "QUERY" => host.resolve(parameter).map(|handle| format!(":{:x}", handle.0)),
        "EXIT" => {
            caller.log("KILL self");
            host.node.launches.finish(host, caller.handle(), &Outcome::Exited);
            caller.exit();
            None
        }
        "KILL" => {
            if let Some(handle) = host.resolve(parameter) {
                caller.log(format!("KILL :{:x}", handle.0));
                host.node.launches.finish(host, handle, &Outcome::Killed);
                caller.end_service(handle);
            }
            None
        }
        "STARTTIME" => Some(host.node.start_time().to_string()),
        "ABORT" => {
            caller.log("skynet.abort stops the node");
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
                .map_err(|error| format!("cannot stop the node: {error}"))?;
            None
        }
        "MONITOR" if parameter.is_empty() => host.node.monitor().map(|handle| format!(":{:x}", handle.0)),
        "MONITOR" => {
            if let Some(handle) = host.resolve(parameter) {
                host.node.set_monitor(handle);
            }
            None
        }
        "STAT" => Some(statistic(host, parameter)),
        "SIGNAL" => {
            let (address, signal) = parameter.split_once(' ').unwrap_or((parameter, "0"));
            if let Some(handle) = host.resolve(address) {
                caller.log(format!("signal {signal} to {handle}"));
                if signal.trim() == "0" && !signal::stop(handle) {
                    caller.log(format!("{handle} handles no message: there is nothing to stop"));
                }
            }
            None
        }
        "LOGON" | "LOGOFF" => {
            let logs = &host.node.message_logs;
            match host.resolve(parameter) {
                None => caller.log(format!("{name}: there is no service {parameter}")),
                Some(handle) if name == "LOGON" => logs.switch_on(host, handle),
                Some(handle) => logs.switch_off(host, handle),
            }
            None
        }
        _ => None,
    };
    Ok(answer)
}

fn register_name(host: &Host, name: &str, handle: Handle) -> Result<String, String> {
    if !name.starts_with('.') {
        return Err(format!(
            "{name} is not a local name: a local name begins with a dot; use cluster.register for the cluster"
        ));
    }
    host.caller
        .name_service(name, handle)
        .map_err(|error| error.to_string())?;
    Ok(name.trim_start_matches('.').to_owned())
}

fn statistic(host: &Host, what: &str) -> String {
    match what {
        "mqlen" => host.caller.messages_waiting().to_string(),
        "endless" => u8::from(watch::take_endless(host.caller.handle())).to_string(),
        "message" => host.messages.get().to_string(),
        "shard" => host.caller.shard_index().to_string(),
        "cpu" | "time" if !is_profiled(host) => "0".to_owned(),
        // Handlers do not block, so elapsed time is close to processor time.
        "cpu" => host.handling_time.get().as_secs_f64().to_string(),
        // That of the current message.
        "time" => host.message_started.get().elapsed().as_secs_f64().to_string(),
        _ => "0".to_owned(),
    }
}

/// Whether the config wants the time of handlers to be known.
fn is_profiled(host: &Host) -> bool {
    let profile = host.node.environment(&host.caller, b"profile");
    profile.is_none_or(|profile| profile == b"true")
}

/// Notifies the service that `MONITOR` has set, if any, that this service ends.
pub(crate) fn report_end(host: &Host) {
    if let Some(monitor) = host.node.monitor()
        && monitor != host.caller.handle()
    {
        host.caller
            .post(monitor, Kind(kind::CLIENT), 0, Payload::default());
    }
}
