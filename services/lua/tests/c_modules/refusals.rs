//! Modules in C that cannot be used are refused with one line each, and the node goes on.

use crate::compiler::Modules;
use crate::node::run_to_end;

/// The version of this program and the other one that it can be built with, as `LUA_VERSION_NUM`.
fn own_and_other() -> (u32, u32) {
    match skyring_lua::LUA_VERSION {
        "5.4" => (504, 505),
        _ => (505, 504),
    }
}

/// The version as `5.4`.
fn name(version: u32) -> String {
    format!("5.{}", version % 100)
}

/// Writes a file when the library is loaded, and when it is opened.
const TRACE: &str = r#"
#include <stdio.h>
static void trace(void) { fclose(fopen(RAN, "w")); }
__attribute__((constructor)) static void loaded(void) { trace(); }
"#;

/// Modules that differ from version to version: by the number in `luaL_newlib`, by the index of the registry, by that of
/// upvalues, by a function. Each begins with what would crash or raise.
const MODULES: [(&str, &str); 4] = [
    (
        "number",
        "int luaopen_number(lua_State *L) { static const luaL_Reg none[] = {{0, 0}}; trace(); luaL_newlib(L, none); return 1; }",
    ),
    (
        "registry",
        "int luaopen_registry(lua_State *L) { trace(); lua_getfield(L, LUA_REGISTRYINDEX, \"_LOADED\"); return 1; }",
    ),
    (
        "upvalue",
        "int luaopen_upvalue(lua_State *L) { trace(); lua_pushvalue(L, lua_upvalueindex(2)); return 1; }",
    ),
    (
        "function",
        "int luaopen_function(lua_State *L) { trace(); lua_newuserdata(L, 8); return 1; }",
    ),
];

/// Requires a module, and returns the line of its error. The node must answer afterwards.
const REQUIRE: &str = "local function refused(name)
        local ok, problem = pcall(require, name)
        assert(not ok, name)
        assert(type(problem) == 'string' and not problem:find '\\n', problem)
        skynet.error('REFUSED ' .. name .. ': ' .. problem)
        assert(skynet.call(skynet.launch 'echo', 'lua', 1) == 1)
        return problem
    end\n";

/// Requires these modules, each of which must be refused, and returns the lines.
fn refusals(modules: &Modules, names: &[&str]) -> Vec<String> {
    let mut main = REQUIRE.to_owned();
    for name in names {
        main.push_str(&format!("refused '{name}'\n"));
    }
    let running = run_to_end(&main, &[], &modules.config());
    let log = running.log();
    let line = |name: &&str| {
        let mark = format!("REFUSED {name}: ");
        let line = log.lines().find_map(|line| line.split_once(&mark));
        line.unwrap_or_else(|| panic!("no line {mark:?} in:\n{log}"))
            .1
            .to_owned()
    };
    let lines = names.iter().map(line).collect();
    running.node.stop();
    lines
}

#[test]
fn a_module_for_another_lua_is_refused_before_it_runs() {
    let Some(modules) = Modules::new() else { return };
    let (own, other) = own_and_other();
    let ran = modules.path().join("ran");
    let define = format!("-DRAN=\"{}\"", ran.display());
    for (optimisation, suffix) in [("-O0", "0"), ("-O2", "2")] {
        for (name, text) in MODULES {
            let text = format!("{TRACE}{text}")
                .replace(&format!("luaopen_{name}"), &format!("luaopen_{name}{suffix}"));
            let version = if name == "function" { 503 } else { other };
            modules.build(
                &format!("{name}{suffix}"),
                version,
                &[optimisation, &define],
                &text,
            );
        }
    }
    let names: Vec<String> = MODULES
        .iter()
        .flat_map(|(name, _)| ["0", "2"].map(|suffix| format!("{name}{suffix}")))
        // The index of the registry tells on x86-64 only.
        .filter(|name| cfg!(target_arch = "x86_64") || name.starts_with(['n', 'f']))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (module, line) in names.iter().zip(refusals(&modules, &names)) {
        assert!(line.contains(&format!("{module}.so is built for Lua ")), "{line}");
        assert!(
            line.contains(&format!("this program runs Lua {}", name(own))),
            "{line}"
        );
        if !module.starts_with("function") {
            // Without the number, 5.2 to 5.4 have the same index.
            assert!(line.contains(&name(other)), "{line}");
        }
    }
    assert!(!ran.exists(), "a module was loaded");
}

#[test]
fn a_module_for_this_lua_or_for_any_is_loaded() {
    let Some(modules) = Modules::new() else { return };
    let (own, other) = own_and_other();
    let ran = modules.path().join("ran");
    let define = format!("-DRAN=\"{}\"", ran.display());
    for (name, text) in &MODULES[..3] {
        modules.build(name, own, &["-O2", &define], &format!("{TRACE}{text}"));
    }
    let text = "int luaopen_any(lua_State *L) { lua_pushinteger(L, 7); return 1; }";
    modules.build("any", other, &["-O2"], text);
    let version = format!("assert(_VERSION == 'Lua {}')\n", name(own));
    let main = "require 'number' require 'upvalue'
        assert(require 'registry' == package.loaded)
        assert(require 'any' == 7)
        local open = assert(package.loadlib(package.searchpath('any', package.cpath), 'luaopen_any'))
        assert(open() == 7)";
    run_to_end(&format!("{version}{main}"), &[], &modules.config());
    assert!(ran.exists());
}

#[test]
fn a_version_that_the_file_hides_is_an_error_when_lua_checks_it() {
    let Some(modules) = Modules::new() else { return };
    let (_, other) = own_and_other();
    let text = "static volatile int half = VERSION / 2;
        int luaopen_hidden(lua_State *L) { luaL_checkversion_(L, half * 2 + VERSION % 2, 136); return 0; }";
    modules.build("hidden", other, &["-O2"], text);
    let line = &refusals(&modules, &["hidden"])[0];
    let built = format!("hidden.so is built for Lua {}", name(other));
    assert!(line.contains(&built), "{line}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let Some(modules) = Modules::new() else { return };
    let (own, _) = own_and_other();
    modules.write("text.so", b"return {}");
    modules.write("empty.so", b"");
    modules.build("bare", own, &[], "int luaopen_other(lua_State *L) { return 0; }");
    modules.build(
        "raises",
        own,
        &[],
        "int luaopen_raises(lua_State *L) { return luaL_error(L, \"no device %d\", 7); }",
    );
    modules.build(
        "service",
        own,
        &[],
        "void skynet_error(void); int luaopen_service(lua_State *L) { skynet_error(); return 0; }",
    );
    modules.build(
        "unresolved",
        own,
        &[],
        "void absent(void); int luaopen_unresolved(lua_State *L) { absent(); return 0; }",
    );
    modules.build(
        "debugs",
        own,
        &[],
        "int lua_getstack(lua_State *, int, void *);
        int luaopen_debugs(lua_State *L) { char debug[200]; lua_getstack(L, 0, debug); return 0; }",
    );
    let expected = [
        (
            "debugs",
            "debugs.so calls lua_getstack, which differs between the versions of Lua",
        ),
        ("text", "text.so is no module in C: "),
        ("empty", "empty.so is no module in C: "),
        (
            "bare",
            "bare.so has no function luaopen_bare; it has luaopen_other",
        ),
        (
            "raises",
            "raises.so raised an error while it was loaded: no device 7",
        ),
        (
            "service",
            "service.so calls functions of Skynet's own program, which this one does not have (skynet_error)",
        ),
        ("unresolved", "undefined symbol: absent"),
    ];
    let names = expected.map(|(name, _)| name);
    for ((name, part), line) in expected.into_iter().zip(refusals(&modules, &names)) {
        assert!(
            line.starts_with(&format!("cannot load the module '{name}': ")) && line.contains(part),
            "{line}"
        );
    }
}
