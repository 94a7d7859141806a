//! A node runs on the runtime that the flag, the config or the environment names, in this order.

use skyring::config::RUNTIME_VARIABLE;

use crate::common::{
    Folder, Running, assert_one_line, outcome, output, run_command, skyring, wait_for_reply,
};

#[test]
fn a_node_answers_on_every_runtime_and_nodes_on_different_ones_call_each_other() {
    // The caller is on the default runtime.
    for runtime in ["uring", "glommio"] {
        let (folder, address) = Folder::with_db("");
        let mut command = run_command(&folder.path("config_db"));
        let mut node = Running::node_of(command.arg("--runtime").arg(runtime));
        wait_for_reply(&address, &mut node);
    }
}

#[test]
fn a_config_names_the_runtime_and_check_tells_it() {
    let (folder, address) = Folder::with_db("runtime = \"glommio\"");
    let mut node = Running::node(&folder.path("config_db"));
    wait_for_reply(&address, &mut node);
    let (code, text, errors) = outcome(&output(["check".as_ref(), folder.path("config_db").as_os_str()]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("runtime") && text.contains("glommio"), "{text}");
}

#[test]
fn an_unknown_runtime_is_refused_wherever_it_is_named() {
    let (folder, _) = Folder::with_db("runtime = \"tokio\"");
    let config = folder.path("config_db");
    let refused = output(["run".as_ref(), config.as_os_str()]);
    assert_one_line(&refused, 2, "runtime: not known; it is \"uring\" or \"glommio\"");

    let (folder, _) = Folder::with_db("");
    let config = folder.path("config_db");
    let mut command = skyring(["run".as_ref(), config.as_os_str()]);
    let refused = command.env(RUNTIME_VARIABLE, "epoll").output().expect("it runs");
    let expected =
        "environment variable SKYRING_RUNTIME: \"epoll\" is not known; it is \"uring\" or \"glommio\"";
    assert_one_line(&refused, 2, expected);
    for command in ["run", "demo", "bench"] {
        let (code, _, errors) = outcome(&output([command, "--runtime", "epoll"]));
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("expected uring or glommio"), "{errors}");
    }
    let refused = skyring(["bench", "--seconds", "0.1"])
        .env(RUNTIME_VARIABLE, "epoll")
        .output()
        .expect("it runs");
    assert_one_line(&refused, 2, expected);
}
