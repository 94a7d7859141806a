//! Lets modules in C find the interpreter's functions in the programs of the tests and examples, as they find them in
//! the command.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        for symbols in ["lua_*", "luaL_*", "luaopen_*"] {
            for programs in ["tests", "examples"] {
                println!("cargo:rustc-link-arg-{programs}=-Wl,--export-dynamic-symbol={symbols}");
            }
        }
    }
}
