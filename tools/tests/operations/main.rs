//! What the chapters Operating and Containers promise, one module for each promise, with real processes.

#[expect(
    dead_code,
    reason = "the tests of the command use all of it, these only a part"
)]
#[path = "../command/common.rs"]
mod common;

mod a_node_runs_under_the_seccomp_profile;
mod a_rolling_restart_fails_no_call;
mod files;
mod profile;
mod the_image_runs_a_node;
mod the_manifests_fit_together;
