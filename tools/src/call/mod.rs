//! `skyring call`: one call to a service of a running node.

mod arguments;
mod request;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use skyring::seri::Value;

pub(crate) use self::arguments::Arguments;
use crate::shared::output::{EXIT_FAILURE, escape_text, fail, ignore_broken_pipe};

/// Makes the call, prints the reply, and returns the exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let request = match arguments.request() {
        Ok(request) => request,
        Err((code, cause)) => return fail(code, cause),
    };
    let reply =
        request::call(request).and_then(|payload| payload.values().map_err(|error| error.to_string()));
    let values = match reply {
        Ok(values) => values,
        Err(cause) => return fail(EXIT_FAILURE, cause),
    };
    match ignore_broken_pipe(print(&values)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("cannot write the answer: {error}")),
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
