//! Evaluation ends, has no access outside, and every failure is one line with its place and its cause.

use std::fs;
use std::path::Path;
use std::process::Command;

use skyring::config::{ClusterMap, NodeConfig};
use tempfile::TempDir;

/// Writes the files and loads `config`. Errors have the folder's path left out.
fn load_files(files: &[(&str, &[u8])]) -> (TempDir, Result<NodeConfig, String>) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in files {
        fs::create_dir_all(folder.path().join(name).parent().expect("a file in a folder")).expect("a folder");
        fs::write(folder.path().join(name), text).expect("a file is written");
    }
    let loaded = NodeConfig::load(&folder.path().join("config"));
    let prefix = format!("{}/", folder.path().display());
    let loaded = loaded.map_err(|error| error.to_string().replace(&prefix, ""));
    (folder, loaded)
}

fn load(config: &str) -> Result<NodeConfig, String> {
    load_files(&[("config", config.as_bytes())]).1
}

fn error(config: &str) -> String {
    let error = load(config).expect_err("a config that is refused");
    assert!(
        !error.contains(['\n', '\r', '\x1b']),
        "more than a line: {error:?}"
    );
    error
}

#[test]
fn a_syntax_error_names_file_and_line() {
    assert_eq!(
        error("thread = 1\n\n= 3"),
        "config:3: syntax error: unexpected symbol near '='"
    );
    assert_eq!(error("x y"), "config:1: syntax error near 'y'");
    assert_eq!(
        error("thread = {"),
        "config:1: syntax error: unexpected symbol near <eof>"
    );
    assert_eq!(
        error(&format!("x = {}1", "(".repeat(5000))),
        "config: functions or brackets are nested too deeply (stack overflow)"
    );
}

#[test]
fn an_error_of_the_users_own_is_shown_on_one_line_without_a_traceback() {
    assert_eq!(error("\nerror('no\\nsuch zone')"), "config:2: no");
    assert_eq!(error("assert(false, '区服 missing')"), "config:1: 区服 missing");
    assert_eq!(
        error("thread = 1 + nil"),
        "config:1: attempt to perform arithmetic on a nil value"
    );
    assert!(error("error({})").starts_with("config: "));
    assert!(error("error('\\27[31mred', 0)").starts_with("config:  [31mred"));
}

#[test]
fn a_config_cannot_reach_the_system() {
    assert_eq!(
        error("os.exit()"),
        "config:1: attempt to index a nil value (global 'os'); os is not available in a config"
    );
    for name in ["io", "os", "debug", "package", "coroutine"] {
        assert!(error(&format!("x = {name}.y")).contains(&format!("{name} is not available in a config")));
    }
    for name in [
        "require",
        "load",
        "loadfile",
        "dofile",
        "pcall",
        "xpcall",
        "print",
        "setmetatable",
    ] {
        assert!(error(&format!("{name}('x')")).contains(&format!("{name} is not available in a config")));
    }
    for name in ["_G", "collectgarbage", "rawset", "string.dump", "loadstring"] {
        let (_folder, loaded) = load_files(&[("config", format!("thread = {name} and 1 or 2").as_bytes())]);
        assert_eq!(loaded.unwrap().threads, 2, "{name} is there");
    }
    let config =
        load("x = ('a'):rep(3)..math.floor(2.5)..table.concat({1, 2}, ',')..#utf8.char(228)").unwrap();
    assert_eq!(config.environment_text("x"), Some("aaa21,22"));
}

#[test]
fn a_config_that_does_not_end_is_an_error() {
    let steps = "took too many steps; a config assigns values and must not loop for long";
    assert_eq!(error("\nwhile true do end"), format!("config:2: {steps}"));
    assert_eq!(
        error("local function f() return f() end f()"),
        format!("config:1: {steps}")
    );
    assert_eq!(
        error("for i = 1, math.huge do x = i end"),
        format!("config:1: {steps}")
    );
    assert_eq!(
        error("local t = {} ::top:: t[1] = 'x' goto top"),
        format!("config:1: {steps}")
    );
    assert_eq!(
        ClusterMap::parse("repeat until false", "map")
            .unwrap_err()
            .to_string(),
        format!("map:1: {steps}")
    );
}

#[test]
fn a_library_call_that_does_not_end_is_given_up() {
    // One step of the interpreter, and more matches than can ever be tried.
    let endless = "x = ('a'):rep(200):find(('a-'):rep(40)..'b')";
    assert_eq!(
        error(endless),
        "config: took too many steps; a config assigns values and must not loop for long"
    );
}

#[test]
fn a_config_that_takes_much_memory_is_an_error() {
    let memory = "config: took more than 67108864 bytes of memory, which is the limit for a config";
    assert_eq!(error("x = ('x'):rep(1 << 30)"), memory);
    assert_eq!(error("local s = 'x' while true do s = s..s end"), memory);
    assert_eq!(
        error("local t = {} for i = 1, 1e9 do t[i] = {i, i, i, i, i, i, i, i} end"),
        memory
    );
    assert_eq!(
        error("local t = {} while true do t[#t + 1] = ('x'):rep(1000)..#t end"),
        memory
    );
}

#[test]
fn functions_that_call_each_other_without_end_are_an_error() {
    let frame = "a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q";
    assert_eq!(
        error(&format!(
            "local function f({frame}) return 1 + f({frame}) end f()"
        )),
        "config:1: functions or brackets are nested too deeply (stack overflow)"
    );
    // Small frames reach the limit of memory first.
    assert!(error("local function f() return 1 + f() end f()").starts_with("config"));
    assert!(error("local t = {} for i = 1, 1e5 do t = {t} end x = t").contains("x: expected text"));
}

#[test]
fn an_include_is_found_beside_the_file_that_includes_it_and_shares_its_globals() {
    let (_folder, loaded) = load_files(&[
        (
            "config",
            b"include \"common/path.lua\"\nthread = threads\nluaservice = root..'service/?.lua'",
        ),
        (
            "common/path.lua",
            b"root = './' include 'size.lua' include '../top.lua' return { ratio = 2 }",
        ),
        ("common/size.lua", b"threads = 3"),
        ("top.lua", b"top = root..'top'"),
    ]);
    let config = loaded.unwrap();
    assert_eq!(config.threads, 3);
    assert_eq!(config.luaservice.as_deref(), Some("./service/?.lua".as_ref()));
    assert_eq!(config.environment_text("top"), Some("./top"));
    assert_eq!(config.environment_text("ratio"), Some("2"));
}

#[test]
fn an_include_that_fails_names_the_place() {
    assert_eq!(
        error("x = 1\ninclude 'absent'"),
        "config:2: include \"absent\": no such file"
    );
    assert_eq!(
        error("include '.'"),
        "config:1: include \".\": not a regular file"
    );
    assert_eq!(
        error("include(nil)"),
        "config:1: expected include to be given a file name, found nil"
    );
    let (_folder, loaded) = load_files(&[
        ("config", b"include 'a/b'"),
        ("a/b", b"\nx = "),
        ("unused", b"x = 1"),
    ]);
    assert_eq!(
        loaded.unwrap_err(),
        "a/b:2: syntax error: unexpected symbol near <eof>"
    );
    let (_folder, loaded) = load_files(&[("config", b"\ninclude 'a'"), ("a", b"\n\nos.exit(1)")]);
    assert!(
        loaded
            .unwrap_err()
            .starts_with("a:3: attempt to index a nil value (global 'os')")
    );
    let (_folder, loaded) = load_files(&[("config", b"include 'a'"), ("a", b"x = '$SKYRING_NEVER_SET'")]);
    assert_eq!(
        loaded.unwrap_err(),
        "a:1: environment variable $SKYRING_NEVER_SET is not set"
    );
    let (_folder, loaded) = load_files(&[("config", b"include 'a'"), ("a", b"while true do end")]);
    assert!(loaded.unwrap_err().starts_with("a:1: took too many steps"));
}

#[test]
fn includes_are_bounded_in_depth_and_number() {
    assert_eq!(
        error("include 'config'"),
        "config:1: includes are nested more than 16 deep; does a file include itself?"
    );
    let (_folder, loaded) = load_files(&[("config", b"for i = 1, 1000 do include 'a' end"), ("a", b"x = 1")]);
    assert_eq!(loaded.unwrap_err(), "config:1: more than 256 files are included");
    let (_folder, loaded) = load_files(&[
        ("config", b"for i = 1, 256 do include 'a' end"),
        ("a", b"n = (n or 0) + 1"),
    ]);
    assert_eq!(loaded.unwrap().environment_text("n"), Some("256"));
}

#[test]
fn a_variable_of_the_environment_is_replaced_and_an_unset_one_is_an_error() {
    // Cargo sets this one for every test; setting one here would not be safe beside other threads.
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let config = load("logpath = \"$CARGO_MANIFEST_DIR/log\" -- 日志 $CARGO_MANIFEST_DIR").unwrap();
    assert_eq!(
        config.logpath.as_deref(),
        Some(Path::new(&format!("{folder}/log")))
    );
    assert_eq!(
        error("thread = 1\nlogpath = \"$SKYRING_NEVER_SET\""),
        "config:2: environment variable $SKYRING_NEVER_SET is not set"
    );
}

#[test]
fn a_file_that_is_no_config_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let failure = |path: &Path| NodeConfig::load(path).unwrap_err().to_string();
    assert_eq!(
        failure(Path::new("no/such/config")),
        "no/such/config: no such file"
    );
    assert!(failure(folder.path()).ends_with(": not a regular file"));
    assert_eq!(failure(Path::new("/dev/zero")), "/dev/zero: not a regular file");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(failure(&pipe).ends_with("/pipe: not a regular file"));

    for (bytes, expected) in [
        (&b"\x1bLua\x54\x00"[..], "config: a binary file, not Lua text"),
        (b"\x7fELF\x02\x01\x01\0\0", "config: a binary file, not Lua text"),
        (
            b"\xff\xfex\0=\x001\0",
            "config: UTF-16 text; save the file as UTF-8",
        ),
        (
            b"\xfe\xff\0x\0=\x001",
            "config: UTF-16 text; save the file as UTF-8",
        ),
    ] {
        let (_folder, loaded) = load_files(&[("config", bytes)]);
        assert_eq!(loaded.unwrap_err(), expected, "{bytes:?}");
    }
    let comment = format!("--{}", "x".repeat((1 << 20) - 2));
    assert!(load(&comment).is_ok());
    assert_eq!(
        error(&format!("{comment}x")),
        "config: larger than 1048576 bytes, which is the limit for a config"
    );
}
