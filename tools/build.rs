//! Lets modules in C that Lua services `require` find the interpreter's functions in the program itself, as they
//! find them in Skynet's.

/// What such a module may call: the API of Lua, its auxiliary library, and the standard libraries.
const EXPORTED: [&str; 3] = ["lua_*", "luaL_*", "luaopen_*"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Elsewhere a module finds the functions of the program without that, or the engine does not run at all.
    let system = std::env::var("CARGO_CFG_TARGET_OS");
    if system.as_deref() == Ok("linux") {
        for symbols in EXPORTED {
            println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbols}");
        }
    }
}
