//! Services that ship with Skyring. Each is a plain [`skyring::Service`] and uses only the engine's public API, so
//! each is also an example of how to write a service.

mod debug_console;
mod echo;
mod gate;
mod monitor;
mod simpledb;

pub use debug_console::{CONSOLE_CLIENTS_MAX, DebugConsole, LINE_BYTES_MAX};
pub use echo::Echo;
pub use gate::{
    GATE_CALLS_MAX, GATE_CLIENTS_MAX_DEFAULT, GATE_HANDSHAKE_MS_DEFAULT, GATE_PACKET_BYTES_DEFAULT,
    GATE_PACKET_BYTES_MAX, GATE_ROOMS_MAX, GATE_WAITING_BYTES_DEFAULT, GATE_WAITING_BYTES_MAX, Gate,
    GateSettings, GateTls, Protocol, Target, WhenFull,
};
pub use monitor::{Change, HISTORY_MAX, NodeMonitor, WATCHED_MAX};
pub use simpledb::{ENTRIES_MAX, SimpleDb};

use skyring::{Error, Kinds};

/// The kinds of service that a config can name: `echo`, `simpledb`, `monitor`, `gate` and `debug_console`. The last three take
/// arguments: see [`NodeMonitor`], [`Gate`] and [`DebugConsole`].
pub fn kinds() -> Kinds {
    Kinds::default()
        .add("echo", |arguments| {
            check_no_arguments("echo", arguments).map(|()| Echo)
        })
        .add("simpledb", |arguments| {
            check_no_arguments("simpledb", arguments).map(|()| SimpleDb::default())
        })
        .add("monitor", NodeMonitor::from_arguments)
        .add("gate", Gate::from_arguments)
        .add("debug_console", DebugConsole::from_arguments)
}

fn check_no_arguments(kind: &str, arguments: &str) -> Result<(), Error> {
    if arguments.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{kind} takes no arguments, and got \"{arguments}\""
    )))
}
