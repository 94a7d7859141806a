//! A profile shows functions in Lua by name and line between those in Rust and C, and two profiles are compared.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a busy node is profiled at most until every function was seen.
const TIME_MAX: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
thread = 1
harbor = 0
start = "main"
bootstrap = "snlua bootstrap"
luaservice = "./service/?.lua"
"#;

/// Recursion, and a function in C that calls one in Lua.
const MAIN: &str = r#"local skynet = require "skynet"
local function fibonacci(n)
    if n < 2 then return n end
    return fibonacci(n - 1) + fibonacci(n - 2)
end
local function sorts(n)
    local parts = {}
    for i = 1, n do parts[i] = (i * 7919) % n end
    table.sort(parts, function(a, b) return a < b end)
    return string.rep("x", 100000)
end
skynet.start(function()
    skynet.fork(function()
        while true do
            fibonacci(16)
            sorts(400)
            skynet.sleep(0)
        end
    end)
end)
"#;

/// Ends the node with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn skyring(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skyring"));
    command.args(arguments).current_dir(folder);
    command.output().expect("the command runs")
}

#[test]
fn functions_in_lua_are_shown_by_name_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("service")).expect("a folder");
    fs::write(folder.path().join("config"), CONFIG).expect("a file");
    fs::write(folder.path().join("service/main.lua"), MAIN).expect("a file");
    let node = Command::new(env!("CARGO_BIN_EXE_skyring"))
        .args(["run", "config"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let node = Node(node.expect("it starts"));
    let process = node.0.id().to_string();
    let started = Instant::now();
    loop {
        let arguments = ["profile", &process, "--seconds", "2", "--save", "profile.json"];
        let output = skyring(folder.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if ["forbid", "cannot sample", "no memory for samples"]
            .iter()
            .any(|cause| error.contains(cause))
        {
            println!("skipped: {error}");
            return;
        }
        let text = fs::read_to_string(folder.path().join("profile.json")).unwrap_or_default();
        // The frames of all stacks, the marks of their colours left out.
        let profile: Value = serde_json::from_str(&text).unwrap_or_default();
        let stacks: Vec<String> = profile["stacks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|stack| Some(stack[0].as_str()?.replace("_[j]", "")))
            .collect();
        let has = |part: &str| stacks.iter().any(|stack| stack.contains(part));
        let is_whole =
            has("lua_resume;function (./service/main.lua:13);fibonacci (./service/main.lua:2);fibonacci")
                && has("sorts (./service/main.lua:6);sort [C];function (./service/main.lua:9)")
                && has("skyring_lua::");
        // A sample between two instructions of the interpreter may lack its Lua stack; most have it.
        let count = |part: &str| stacks.iter().filter(|stack| stack.contains(part)).count();
        if output.status.success() && is_whole && count("main.lua") > count("luaV_execute") {
            let graph = fs::read_to_string(folder.path().join("profile.svg")).expect("the graph");
            assert!(graph.contains("fibonacci (./service/main.lua:2)"), "{graph}");
            return;
        }
        assert!(started.elapsed() < TIME_MAX, "{error}\n{}", stacks.join("\n"));
    }
}

fn profile(stacks: &[(&str, u64)], calls: Option<u64>) -> String {
    let stacks: Vec<_> = stacks
        .iter()
        .map(|(stack, count)| serde_json::json!([stack, count]))
        .collect();
    serde_json::json!({"stacks": stacks, "frequency": 499, "lost": 0, "has_kernel": true, "calls": calls})
        .to_string()
}

#[test]
fn two_profiles_are_compared_by_the_functions_that_changed_most() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write(
        "before",
        &profile(
            &[("s;t;handle;decode", 499), ("s;t;write_[k]", 998)],
            Some(1_000_000),
        ),
    );
    write(
        "after",
        &profile(
            &[
                ("s;t;handle;decode", 499),
                ("s;t;handle;slow", 250),
                ("s;t;write_[k]", 990),
            ],
            Some(1_000_000),
        ),
    );
    let output = skyring(folder.path(), &["profile", "diff", "before", "after"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("ns a call"), "{text}");
    assert!(
        lines[1].ends_with("slow") && lines[1].contains("+501.0"),
        "{text}"
    );
    assert!(
        lines[2].ends_with("write") && lines[2].contains("-16.0"),
        "{text}"
    );
    assert!(!text.contains("decode"), "{text}");
    let graph = fs::read_to_string(folder.path().join("diff.svg")).expect("the graph");
    assert!(
        graph.contains("before to after") && graph.contains("slow"),
        "{graph}"
    );

    write("other", &profile(&[("s;t;handle", 5)], None));
    let output = skyring(
        folder.path(),
        &["profile", "diff", "before", "other", "--output", "other.svg"],
    );
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("% of all time"),
        "{output:?}"
    );

    write("broken", "{}");
    for arguments in [
        ["profile", "diff", "before", "broken"],
        ["profile", "diff", "before", "nothing-there"],
    ] {
        let output = skyring(folder.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(arguments[3]), "{error}");
    }
}
