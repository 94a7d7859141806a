//! What the chapter on containers and rolling restarts promises, one module for each promise, with real processes.

#[expect(
    dead_code,
    reason = "the tests of the command use all of it, these only a part"
)]
#[path = "../command/common.rs"]
mod common;

mod a_rolling_restart_fails_no_call;
