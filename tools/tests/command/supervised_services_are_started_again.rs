//! A service of a config is started again after its end, also in Lua; past the limit the process ends with the cause and exit
//! code 1.

use std::process::Stdio;

use crate::common::{Folder, Running, run_command};

/// Exits a moment after its start.
const MORTAL: &str = "
    local skynet = require 'skynet'
    skynet.start(function()
        skynet.error('here I am')
        skynet.timeout(1, skynet.exit)
    end)";

#[test]
fn a_service_in_lua_is_started_again_until_its_supervisor_gives_up_and_the_node_ends() {
    let folder = Folder::new();
    folder.write("mortal.lua", MORTAL);
    folder.write("main.lua", "require('skynet').start(function() end)");
    let config = folder.write(
        "config",
        format!(
            "thread = 2
            luaservice = '{}'
            stop_timeout_ms = 1000
            services = {{
                echo = 'echo',
                mortal = {{ 'snlua mortal', restart = 'always', restart_delay_ms = 1 }},
            }}
            supervision = {{ restarts_max = 3 }}",
            folder.path("?.lua").display()
        ),
    );
    let mut command = run_command(&config);
    let mut node = Running::ready(command.stderr(Stdio::piped()), "here I am");
    node.wait_for("The node fails: ");
    let code = node.wait_for_end().code();
    let (log, errors) = (node.written(), node.read_stderr());
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.matches("here I am").count(), 4, "{log}");
    assert!(
        log.contains("(mortal) has ended and is started again in "),
        "{log}"
    );
    assert!(
        log.contains("The node fails: supervisor services gives up: more than 3 restarts"),
        "{log}"
    );
    assert!(
        errors.contains("gives up") && errors.lines().count() == 1,
        "{errors}"
    );
}

#[test]
fn without_a_restart_and_with_escalation_log_the_node_goes_on() {
    let folder = Folder::new();
    folder.write("mortal.lua", MORTAL);
    folder.write("main.lua", "require('skynet').start(function() end)");
    let config = folder.write(
        "config",
        format!(
            "thread = 1
            luaservice = '{}'
            services = {{ mortal = {{ 'snlua mortal', restart = 'on-failure' }} }}
            supervision = {{ restarts_max = 0, escalation = 'log' }}",
            folder.path("?.lua").display()
        ),
    );
    let mut node = Running::ready(&mut run_command(&config), "KILL self");
    assert!(node.is_running());
    node.signal("TERM");
    assert_eq!(node.wait_for_end().code(), Some(0), "{}", node.written());
    assert!(!node.written().contains("started again"), "{}", node.written());
}
