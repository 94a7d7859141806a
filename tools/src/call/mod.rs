//! `skyring call`: one call to a service of a running node.

mod arguments;
mod complete;
mod describe;
mod request;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use skyring::seri::Value;

pub(crate) use self::arguments::Arguments;
use crate::shared::output::{EXIT_FAILURE, escape_text, fail, ignore_broken_pipe};

/// The flags that clap answers with the help of `call` itself.
const HELP: [&str; 2] = ["--help", "-h"];

/// Makes `skyring call … CMD --help` a request for the description of CMD. `parse` reads the arguments of a call; without a
/// CMD they stay as they are.
pub(crate) fn with_help_of_command(
    arguments: Vec<OsString>,
    parse: impl Fn(&[OsString]) -> Option<Arguments>,
) -> Vec<OsString> {
    let texts = arguments.iter().position(|argument| argument == "--");
    let flags = &arguments[..texts.unwrap_or(arguments.len())];
    let help = flags
        .iter()
        .position(|argument| HELP.iter().any(|help| argument == help));
    let (Some(help), Some(true)) = (help, arguments.get(1).map(|command| command == "call")) else {
        return arguments;
    };
    let mut described = arguments.clone();
    described[help] = OsString::from("--describe");
    match parse(&described).and_then(|parsed| parsed.command()) {
        Some(_) => described,
        None => arguments,
    }
}

/// Makes the call, prints the reply, and returns the exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if arguments.is_describe() {
        return describe(arguments);
    }
    let request = match arguments.request() {
        Ok(request) => request,
        Err((code, cause)) => return fail(code, cause),
    };
    let reply = request::call(request).and_then(|payload| payload.values());
    let values = match reply {
        Ok(values) => values,
        Err(cause) => return fail(EXIT_FAILURE, cause),
    };
    match ignore_broken_pipe(print(&values)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("cannot write the answer: {error}")),
    }
}

/// Prints the interface of the service, and returns the exit code.
fn describe(arguments: Arguments) -> ExitCode {
    let (command, is_json) = (arguments.command(), arguments.is_json());
    let request = match arguments.request_to_describe() {
        Ok(request) => request,
        Err((code, cause)) => return fail(code, cause),
    };
    let text = describe::interface(request).and_then(|interface| match is_json {
        true => serde_json::to_string_pretty(&interface)
            .map(|json| json + "\n")
            .map_err(|error| error.to_string()),
        false => describe::text(&interface, command.as_deref()),
    });
    let text = match text {
        Ok(text) => text,
        Err(cause) => return fail(EXIT_FAILURE, cause),
    };
    // Its texts are the service's, which may be anyone's.
    let written = io::stdout().lock().write_all(escape_text(&text).as_bytes());
    match ignore_broken_pipe(written) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("cannot write the description: {error}")),
    }
}

/// Prints one value per line.
fn print(values: &[Value]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let is_terminal = output.is_terminal();
    let mut text = Vec::new();
    for value in values {
        match value {
            Value::String(bytes) if !is_terminal => text.extend_from_slice(bytes),
            value if is_terminal => text.extend_from_slice(escape_text(&value.to_string()).as_bytes()),
            value => text.extend_from_slice(value.to_string().as_bytes()),
        }
        text.push(b'\n');
    }
    output.write_all(&text)
}
