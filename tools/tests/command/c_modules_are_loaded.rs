//! Modules in C that services `require` find the functions of the interpreter in the command, which says its version.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Folder, Running, skyring};

/// A module in C; it declares the functions of Lua that it calls.
const MODULE: &str = r#"
typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *);
typedef struct { const char *name; lua_CFunction function; } luaL_Reg;
extern void lua_createtable(lua_State *, int, int);
extern long long luaL_checkinteger(lua_State *, int);
extern int luaL_error(lua_State *, const char *, ...);
extern void luaL_setfuncs(lua_State *, const luaL_Reg *, int);
extern void lua_pushinteger(lua_State *, long long);

static int half(lua_State *state) {
    long long number = luaL_checkinteger(state, 1);
    if (number % 2)
        return luaL_error(state, "%d is odd", (int)number);
    lua_pushinteger(state, number / 2);
    return 1;
}

int luaopen_numbers_half(lua_State *state) {
    static const luaL_Reg functions[] = { { "half", half }, { 0, 0 } };
    lua_createtable(state, 0, 1);
    luaL_setfuncs(state, functions, 0);
    return 1;
}
"#;

const MAIN: &str = r#"
local skynet = require "skynet"
local numbers = require "numbers.half"
skynet.start(function()
    local ok, problem = pcall(numbers.half, 7)
    skynet.error("HALF", numbers.half(84), ok, problem)
end)"#;

#[test]
fn a_module_in_c_on_lua_cpath_is_required_and_raises_errors() {
    let folder = Folder::new();
    for name in ["service", "modules/numbers"] {
        fs::create_dir_all(folder.path(name)).expect("folders are made");
    }
    let source = folder.write("half.c", MODULE);
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.path("modules/numbers/half.so"))
        .arg(source);
    match compiler.output() {
        Err(problem) => return eprintln!("skipped: there is no C compiler `cc` here: {problem}"),
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
    }
    folder.write("service/main.lua", MAIN);
    folder.write(
        "config",
        "thread = 1 start = 'main' lua_cpath = './modules/?.so' luaservice = './service/?.lua'",
    );
    let mut command = skyring([Path::new("./config")]);
    let node = Running::ready(command.current_dir(folder.path("")), "HALF ");
    let log = node.written();
    assert!(log.contains("HALF 42 false 7 is odd\n"), "{log}");
}

#[test]
fn the_version_names_that_of_lua() {
    let done = skyring(["--version"]).output().expect("the command runs");
    let text = String::from_utf8_lossy(&done.stdout);
    let lua = if cfg!(feature = "lua55") { "5.5" } else { "5.4" };
    assert_eq!(
        text,
        format!("skyring {} (Lua {lua})\n", env!("CARGO_PKG_VERSION"))
    );
}
