//! `skyring trace`: the stages of one call on every node that it reaches.

mod arguments;
mod collect;
mod tree;

use std::io::{self, Write as _};
use std::process::ExitCode;

pub(crate) use self::arguments::Arguments;
use self::collect::Collected;
use crate::shared::output::{EXIT_FAILURE, escape_text, fail, ignore_broken_pipe};

/// Makes or looks up a trace, prints its spans, and returns the exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let order = match arguments.order() {
        Ok(order) => order,
        Err((code, cause)) => return fail(code, cause),
    };
    let collected = match collect::collect(order.reach, order.wanted) {
        Ok(collected) => collected,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let written = io::stdout()
        .lock()
        .write_all(escape_text(&tree::text(&collected)).as_bytes());
    if let Err(error) = ignore_broken_pipe(written) {
        return fail(EXIT_FAILURE, format!("cannot write the trace: {error}"));
    }
    let Collected {
        spans,
        missing,
        error,
    } = collected;
    for (node, cause) in missing {
        fail(
            EXIT_FAILURE,
            format!("node {node} does not say what it has: {cause}"),
        );
    }
    match (error, spans.is_empty()) {
        (Some(error), _) => fail(EXIT_FAILURE, format!("the call failed: {error}")),
        (None, true) => fail(
            EXIT_FAILURE,
            "no node has a span of it: it was not traced, or is too long ago",
        ),
        (None, false) => ExitCode::SUCCESS,
    }
}
